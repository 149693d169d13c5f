#!/bin/sh
# A container that is started again keeps its name: under the same id its worker takes its own sessions back at once,
# where another one would wait until the first is surely dead.
export PWW_WORKER_ID="${PWW_WORKER_ID:-w-$(hostname)}"
exec pww "$@"
