# What a kernel runs first in the suite (conftest.py's PYTHONSTARTUP). It leaves no name behind.
# TensorFlow's import alone makes millions of objects, through which Python's search for garbage
# goes again and again: a sixth of a chapter's time. To look less often changes no result.
__import__("gc").set_threshold(100_000, 50, 50)
