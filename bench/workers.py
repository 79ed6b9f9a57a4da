"""Worker processes for measurements that take turns.

A worker sleeps on its pipe between two commands. Only one of them therefore uses the machine at a time. Commands and
answers are JSON objects, one on each line.
"""

import json
import os
import subprocess
import sys


class Worker:
    """A process that serves commands. `command` starts it; errors name it `name`."""

    def __init__(self, name, command, cwd, environment):
        self.name = name
        self.process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, command, **arguments):
        """Send a command and wait for the answer, a dict.

        Raises:
            RuntimeError: the worker has ended.
        """
        try:
            self.process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"{self.name}: the worker ended at {command!r} with code {self.process.wait()}")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.close()
        except BrokenPipeError:  # the worker ended before it read the last command
            pass
        self.process.wait()
        self.process.stdout.close()


def serve(answer):
    """Answer the commands on standard input, until it closes, by `answer(command, **arguments)`."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print to stderr, not between the answers
    for line in sys.stdin:
        answers.write(json.dumps(answer(**json.loads(line))) + "\n")
        answers.flush()
