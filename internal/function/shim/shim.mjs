// Asks the Lambda Runtime API for invocations and gives them to a handler. It
// uses nothing but Node's own library, and runs on 18 and later.
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const api = new URL(`http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/`);
const env = process.env;

function request(method, where, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const sent = http.request(new URL(where, api), { method, headers, agent: false }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => resolve({ headers: answer.headers, text: Buffer.concat(parts).toString() }));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function describe(error) {
  if (error instanceof Error || (error && error.stack)) {
    return { errorType: error.name || 'Error', errorMessage: String(error.message), trace: String(error.stack).split('\n') };
  }
  return { errorType: typeof error, errorMessage: typeof error === 'string' ? error : JSON.stringify(error) ?? String(error), trace: [] };
}

// report tells of an error, and prints it as Lambda does.
async function report(where, error, kind) {
  const told = describe(error);
  if (kind) told.errorType = kind;
  process.stderr.write(`${told.errorType}: ${told.errorMessage}\n${told.trace.slice(1).map((line) => `${line}\n`).join('')}`);
  await request('POST', where, JSON.stringify(told), {
    'Content-Type': 'application/json', 'Lambda-Runtime-Function-Error-Type': told.errorType,
  });
}

function named(kind, message) {
  const error = new Error(message);
  error.name = kind;
  return error;
}

async function load(handler) {
  const base = path.basename(handler);
  const dot = base.indexOf('.');
  const file = path.resolve(env.LAMBDA_TASK_ROOT, path.dirname(handler), base.slice(0, dot));
  const names = base.slice(dot + 1).split('.');
  let loaded;
  if (fs.existsSync(`${file}.mjs`)) {
    loaded = await import(pathToFileURL(`${file}.mjs`));
  } else {
    const found = ['', '.js', '.cjs'].map((end) => file + end).find((name) => fs.existsSync(name) && fs.statSync(name).isFile());
    if (!found) {
      throw named('Runtime.ImportModuleError', `Error: Cannot find module '${path.basename(file)}'`);
    }
    try {
      loaded = createRequire(pathToFileURL(found))(found);
    } catch (error) {
      if (error.code !== 'ERR_REQUIRE_ESM' && error.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
      loaded = await import(pathToFileURL(found));
    }
  }
  const from = (module) => names.reduce((value, name) => value?.[name], module);
  const found = from(loaded) ?? from(loaded.default);
  if (found === undefined) {
    throw named('Runtime.HandlerNotFound', `${handler} is undefined or not exported`);
  }
  if (typeof found !== 'function') {
    throw named('Runtime.HandlerNotFound', `${handler} is not a function`);
  }
  return found;
}

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
}

// call waits for what the handler answers: by a promise, by the callback, by
// the methods of its context, or at once.
function call(handler, event, context) {
  return new Promise((resolve, reject) => {
    const callback = (error, result) => {
      if (error !== null && error !== undefined) reject(error);
      else if (context.callbackWaitsForEmptyEventLoop) process.once('beforeExit', () => resolve(result));
      else resolve(result);
    };
    context.done = callback;
    context.succeed = (result) => resolve(result);
    context.fail = (error) => reject(error ?? 'handled');
    let answer;
    try {
      answer = handler(event, context, callback);
    } catch (error) {
      reject(error);
      return;
    }
    if (answer && typeof answer.then === 'function') {
      answer.then(resolve, reject);
    } else if (handler.length < 3) {
      // Nobody will call back: what is left to do is done first.
      process.once('beforeExit', () => resolve(answer ?? null));
    }
  });
}

async function invoke(handler) {
  const { headers, text } = await request('GET', 'invocation/next');
  const context = contextOf(headers);
  const where = `invocation/${context.awsRequestId}/`;
  env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'] ?? '';
  const crashed = async (error, kind) => {
    try {
      await report(`${where}error`, error, kind);
    } finally {
      process.exit(1);
    }
  };
  process.removeAllListeners('uncaughtException');
  process.removeAllListeners('unhandledRejection');
  process.on('uncaughtException', (error) => crashed(error));
  process.on('unhandledRejection', (error) => crashed(error, 'Runtime.UnhandledPromiseRejection'));
  let body;
  try {
    body = JSON.stringify(await call(handler, JSON.parse(text), context)) ?? 'null';
  } catch (error) {
    await report(`${where}error`, error);
    return;
  }
  await request('POST', `${where}response`, body, { 'Content-Type': 'application/json' });
}

async function main() {
  const wanted = (env.AWS_EXECUTION_ENV ?? '').replace('AWS_Lambda_nodejs', '').replace('.x', '');
  const have = process.versions.node.split('.')[0];
  if (wanted !== have) {
    process.stderr.write(`note: the function asks for Node.js ${wanted}; this machine runs it with ${have}\n`);
  }
  let handler;
  try {
    handler = await load(process.argv[2]);
  } catch (error) {
    const kinds = { MODULE_NOT_FOUND: 'Runtime.ImportModuleError', ERR_MODULE_NOT_FOUND: 'Runtime.ImportModuleError' };
    const kind = error instanceof SyntaxError ? 'Runtime.UserCodeSyntaxError' : kinds[error?.code];
    await report('init/error', error, kind);
    process.exit(1);
  }
  for (;;) {
    await invoke(handler);
  }
}

main();
