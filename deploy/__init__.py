"""The tool behind `make up`, `down`, `status` and `logs`: one stack, as containers or as plain processes.

`start.py` is `make up`, `stack.py` every other command. `processes.py` (with `supervisord.py`) and `docker.py` (with
`engine.py`) are the two ways to run a stack. `run_folder.py` is what RUN holds; `settings.toml` and `config.py` are
the settings. Services are known here by their names, settings and log lines, never by their insides; `in_memory.py`
alone, which is no part of the tool, puts these together as one object.
"""
