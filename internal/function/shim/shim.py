"""Asks the Lambda Runtime API for invocations and gives them to a handler.

It uses nothing but Python's own library, and runs on 3.8 and later.
"""
import importlib
import json
import os
import sys
import time
import traceback
import urllib.request

API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/"
# A proxy for the network is none for this.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Identity:
    cognito_identity_id = None
    cognito_identity_pool_id = None


class Context:
    """What handlers get as their second argument."""

    def __init__(self, headers):
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = Identity()
        self.client_context = None
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))


class NoHandler(Exception):
    pass


def post(path, body, kind=None):
    headers = {"Content-Type": "application/json"}
    if kind:
        headers["Lambda-Runtime-Function-Error-Type"] = kind
    OPENER.open(urllib.request.Request(API + path, body, headers, method="POST")).read()


def report(path, kind, error, trace):
    """Tells of an error, and prints it as Lambda does."""
    sys.stdout.flush()
    sys.stderr.write("[ERROR] %s: %s\n%s" % (kind, error, "".join(trace)))
    sys.stderr.flush()
    text = {"errorMessage": str(error), "errorType": kind, "stackTrace": trace, "requestId": ""}
    post(path, json.dumps(text).encode(), kind)


def own_frames(error):
    """The lines of a traceback without those of this file."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__ and "importlib" not in f.filename]
    return traceback.format_list(frames)


def load(name):
    module, _, function = name.rpartition(".")
    loaded = importlib.import_module(module.replace("/", "."))
    try:
        return getattr(loaded, function)
    except AttributeError:
        raise NoHandler("Handler '%s' missing on module '%s'" % (function, module)) from None


def prepare(name):
    module = name.rpartition(".")[0]
    try:
        return load(name)
    except NoHandler as error:
        told = "Runtime.HandlerNotFound", str(error), []
    except ImportError as error:
        told = "Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module, error), own_frames(error)
    except SyntaxError as error:
        told = "Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module, error), own_frames(error)
    except Exception as error:
        told = type(error).__name__, str(error), own_frames(error)
    report("init/error", *told)
    sys.exit(1)


def plain(value):
    """What JSON cannot say and Lambda says all the same."""
    import decimal
    if isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def invoke(handler):
    with OPENER.open(API + "invocation/next") as answer:
        headers, text = answer.headers, answer.read()
    context = Context(headers)
    path = "invocation/" + context.aws_request_id + "/"
    os.environ["_X_AMZN_TRACE_ID"] = headers.get("Lambda-Runtime-Trace-Id", "")
    try:
        result = handler(json.loads(text), context)
    except Exception as error:
        report(path + "error", type(error).__name__, error, own_frames(error))
        return
    try:
        body = json.dumps(result, default=plain).encode()
    except Exception as error:
        report(path + "error", "Runtime.MarshalError", "Unable to marshal response: %s" % error, [])
        return
    sys.stdout.flush()
    sys.stderr.flush()
    post(path + "response", body)


def main():
    wanted = os.environ.get("AWS_EXECUTION_ENV", "").replace("AWS_Lambda_python", "")
    have = "%d.%d" % sys.version_info[:2]
    if wanted not in ("3", "3.x", have):
        sys.stderr.write("note: the function asks for Python %s; this machine runs it with %s\n" % (wanted, have))
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    handler = prepare(sys.argv[1])
    while True:
        invoke(handler)


main()
