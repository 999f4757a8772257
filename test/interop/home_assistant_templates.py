"""Renders templates as Home Assistant does: the message is `value` and, where it is JSON, `value_json`; anything undefined is a
fault. Reads [template, message] as JSON, one a line, and answers with the text, or with {"fault": ...}."""

import json
import sys

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)

for line in sys.stdin:
    template, message = json.loads(line)
    variables = {"value": message}
    try:
        variables["value_json"] = json.loads(message)
    except ValueError:
        pass
    try:
        answer = environment.from_string(template).render(variables)
    except Exception as error:
        answer = {"fault": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
