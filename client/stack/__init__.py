"""A running stack seen from outside: started and stopped, asked whether it takes mail, listened to.

Nothing here imports the services: they are processes, known by their files in RUN, their feed, and SMTP.
"""
