"""Prints a model.json: what the public model of a service's API says about
requests, as botocore carries it (Apache-2.0), without its prose, its answers
and all that Towline does not check. With --answers it is what the model says
about them, which tests hold ours against. Whole numbers are integers, however long.
Of operations that are not listed there are only the names; without a list
there are all.

    go generate ./internal/awsapi/...        (python3 with botocore is needed)
    python3 model.py [--answers] SERVICE [OPERATION...]
"""
import json
import sys

import botocore.loaders

KEPT = ("type", "members", "required", "member", "key", "value", "min", "max", "pattern", "enum")

answers = sys.argv[1] == "--answers"
service, *listed = sys.argv[2:] if answers else sys.argv[1:]
model = botocore.loaders.Loader().load_service_model(service, "service-2")
shapes = {}


def keep(name):
    if name in shapes:
        return
    shape = {k: v for k, v in model["shapes"][name].items() if k in KEPT}
    shapes[name] = shape
    if shape["type"] == "long":
        shape["type"] = "integer"
    if "members" in shape:
        shape["members"] = {k: v["shape"] for k, v in shape["members"].items()}
    for part in ("member", "key", "value"):
        if part in shape:
            shape[part] = shape[part]["shape"]
    for inner in [*shape.get("members", {}).values(), *(shape[p] for p in ("member", "key", "value") if p in shape)]:
        keep(inner)


operations = {}
for name, operation in model["operations"].items():
    if listed and name not in listed:
        operations[name] = {}
        continue
    if answers:
        if "output" in operation:
            keep(operation["output"]["shape"])
            operations[name] = {"output": operation["output"]["shape"]}
        continue
    keep(operation["input"]["shape"])
    operations[name] = {"input": operation["input"]["shape"], "errors": [e["shape"] for e in operation.get("errors", [])]}


def lines(table):
    return ",\n".join(f"  {json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table))


print(f'{{"operations": {{\n{lines(operations)}\n}}, "shapes": {{\n{lines(shapes)}\n}}}}')
