package towline;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Proxy;
import java.lang.reflect.Type;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Asks the Lambda Runtime API for invocations and gives them to a handler: a RequestHandler, a
 * RequestStreamHandler, or any method of at most an event and a context. It knows the interfaces of
 * aws-lambda-java-core by their names alone; the function brings them along.
 */
public final class Shim {
  private static final String CORE = "com.amazonaws.services.lambda.runtime.";
  private static final String API = "http://" + env("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/";

  private Shim() {}

  public static void main(String[] arguments) throws Exception {
    String wanted = env("AWS_EXECUTION_ENV").replace("AWS_Lambda_java", "").replace(".al2", "");
    int have = Runtime.version().feature();
    if (!wanted.equals(Integer.toString(have))) {
      System.err.println("note: the function asks for Java " + wanted + "; this machine runs it with " + have);
    }
    Handler handler;
    try {
      handler = Handler.load(arguments[0]);
    } catch (Throwable error) {
      report("init/error", cause(error), error instanceof ClassNotFoundException ? "Runtime.ClassNotFound" : null);
      System.exit(1);
      return;
    }
    while (true) {
      invoke(handler);
    }
  }

  private static void invoke(Handler handler) throws Exception {
    HttpURLConnection next = open("invocation/next");
    byte[] event;
    try (InputStream in = next.getInputStream()) {
      event = in.readAllBytes();
    }
    Invocation invocation = new Invocation(next);
    String path = "invocation/" + invocation.id + "/";
    byte[] answer;
    try {
      answer = handler.call(event, invocation);
    } catch (Throwable error) {
      report(path + "error", cause(error), null);
      return;
    } finally {
      System.out.flush();
      System.err.flush();
    }
    post(path + "response", answer, null);
  }

  private static Throwable cause(Throwable error) {
    return error instanceof InvocationTargetException && error.getCause() != null ? error.getCause() : error;
  }

  private static HttpURLConnection open(String path) throws Exception {
    // A proxy for the network is none for this.
    HttpURLConnection connection = (HttpURLConnection) URI.create(API + path).toURL().openConnection(java.net.Proxy.NO_PROXY);
    connection.setReadTimeout(0);
    return connection;
  }

  private static void post(String path, byte[] body, String kind) throws Exception {
    HttpURLConnection connection = open(path);
    connection.setRequestMethod("POST");
    connection.setDoOutput(true);
    connection.setRequestProperty("Content-Type", "application/json");
    if (kind != null) {
      connection.setRequestProperty("Lambda-Runtime-Function-Error-Type", kind);
    }
    connection.setFixedLengthStreamingMode(body.length);
    try (OutputStream out = connection.getOutputStream()) {
      out.write(body);
    }
    connection.getResponseCode();
  }

  /** Tells of an error, and prints it as Lambda does. */
  private static void report(String path, Throwable error, String kind) throws Exception {
    String type = kind == null ? error.getClass().getName() : kind;
    error.printStackTrace();
    System.err.flush();
    List<Object> trace = new ArrayList<>();
    for (StackTraceElement frame : error.getStackTrace()) {
      if (frame.getClassName().startsWith("towline.") || trace.size() == 50) {
        break;
      }
      trace.add(frame.toString());
    }
    Map<String, Object> told = new LinkedHashMap<>();
    told.put("errorMessage", String.valueOf(error.getMessage()));
    told.put("errorType", type);
    told.put("stackTrace", trace);
    post(path, Json.write(told).getBytes(StandardCharsets.UTF_8), type);
  }

  private static String env(String name) {
    String value = System.getenv(name);
    return value == null ? "" : value;
  }

  /** One event, as the context of a handler tells of it. */
  private static final class Invocation {
    final String id;
    final String arn;
    final long deadline;

    Invocation(HttpURLConnection next) {
      id = next.getHeaderField("Lambda-Runtime-Aws-Request-Id");
      arn = next.getHeaderField("Lambda-Runtime-Invoked-Function-Arn");
      deadline = Long.parseLong(next.getHeaderField("Lambda-Runtime-Deadline-Ms"));
      System.setProperty("com.amazonaws.xray.traceHeader", String.valueOf(next.getHeaderField("Lambda-Runtime-Trace-Id")));
    }

    Object context(Class<?> type) {
      return Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, arguments) -> answer(self, method, arguments));
    }

    private Object answer(Object self, Method method, Object[] arguments) throws Exception {
      switch (method.getName()) {
        case "getAwsRequestId": return id;
        case "getLogGroupName": return env("AWS_LAMBDA_LOG_GROUP_NAME");
        case "getLogStreamName": return env("AWS_LAMBDA_LOG_STREAM_NAME");
        case "getFunctionName": return env("AWS_LAMBDA_FUNCTION_NAME");
        case "getFunctionVersion": return env("AWS_LAMBDA_FUNCTION_VERSION");
        case "getInvokedFunctionArn": return arn;
        case "getRemainingTimeInMillis": return (int) Math.max(0, deadline - System.currentTimeMillis());
        case "getMemoryLimitInMB": return Integer.parseInt(env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"));
        case "getLogger": return logger(method.getReturnType());
        case "toString": return "context of " + id;
        case "hashCode": return System.identityHashCode(self);
        case "equals": return self == arguments[0];
        default: return null; // an identity, a client's context: there are none
      }
    }

    private static Object logger(Class<?> type) {
      return Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, arguments) -> {
        switch (method.getName()) {
          case "log":
            String text = arguments[0] instanceof byte[] ? new String((byte[]) arguments[0], StandardCharsets.UTF_8) : String.valueOf(arguments[0]);
            System.out.print(text.endsWith("\n") ? text : text + "\n");
            return null;
          case "toString": return "logger";
          case "hashCode": return System.identityHashCode(self);
          case "equals": return self == arguments[0];
          default: return null;
        }
      });
    }
  }

  /** The method that handles events, and how it wants to be called. */
  private static final class Handler {
    private final Object object; // null for a static method
    private final Method method;
    private final Type event; // null when there is none
    private final Type result;
    private final boolean streams;

    private Handler(Object object, Method method, Type event, Type result, boolean streams) {
      this.object = object;
      this.method = method;
      this.event = event;
      this.result = result;
      this.streams = streams;
    }

    static Handler load(String name) throws Exception {
      int colons = name.indexOf("::");
      Class<?> type = Class.forName(colons < 0 ? name : name.substring(0, colons));
      String wanted = colons < 0 ? "handleRequest" : name.substring(colons + 2);
      Method method = find(type, wanted);
      Object object = null;
      if (!Modifier.isStatic(method.getModifiers())) {
        Constructor<?> constructor = type.getDeclaredConstructor();
        constructor.setAccessible(true);
        try {
          object = constructor.newInstance();
        } catch (InvocationTargetException error) {
          throw error.getCause() instanceof Exception ? (Exception) error.getCause() : error;
        }
      }
      method.setAccessible(true);
      Class<?>[] takes = method.getParameterTypes();
      boolean streams = takes.length > 1 && takes[0] == InputStream.class && takes[1] == OutputStream.class;
      Type event = takes.length > 0 && !isContext(takes[0]) ? method.getGenericParameterTypes()[0] : null;
      Type result = method.getGenericReturnType();
      Type[] generic = arguments(type);
      if (!streams && generic != null && wanted.equals("handleRequest")) {
        event = generic[0];
        result = generic[1];
      }
      return new Handler(object, method, event, result, streams);
    }

    /** The method of that name with the most parameters, and no bridge to another. */
    private static Method find(Class<?> type, String name) throws NoSuchMethodException {
      Method best = null;
      for (Class<?> in = type; in != null && in != Object.class; in = in.getSuperclass()) {
        for (Method m : in.getDeclaredMethods()) {
          if (m.getName().equals(name) && !m.isBridge() && !Modifier.isAbstract(m.getModifiers()) && fits(m.getParameterTypes())
              && (best == null || m.getParameterCount() > best.getParameterCount())) {
            best = m;
          }
        }
      }
      if (best == null) {
        throw new NoSuchMethodException("No public method named " + name + " with appropriate method signature found on class " + type.getName());
      }
      return best;
    }

    private static boolean fits(Class<?>[] takes) {
      switch (takes.length) {
        case 0: case 1: return true;
        case 2: return isContext(takes[1]) || takes[0] == InputStream.class && takes[1] == OutputStream.class;
        case 3: return takes[0] == InputStream.class && takes[1] == OutputStream.class && isContext(takes[2]);
        default: return false;
      }
    }

    private static boolean isContext(Class<?> type) {
      return type.getName().equals(CORE + "Context");
    }

    /** The types of a RequestHandler<Event, Result>, null where they are not written down. */
    private static Type[] arguments(Class<?> type) {
      for (Class<?> in = type; in != null; in = in.getSuperclass()) {
        for (Type implemented : in.getGenericInterfaces()) {
          if (implemented instanceof ParameterizedType && ((ParameterizedType) implemented).getRawType().getTypeName().equals(CORE + "RequestHandler")) {
            return ((ParameterizedType) implemented).getActualTypeArguments();
          }
        }
      }
      return null;
    }

    byte[] call(byte[] text, Invocation invocation) throws Exception {
      Class<?>[] takes = method.getParameterTypes();
      Object[] given = new Object[takes.length];
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      for (int i = 0; i < takes.length; i++) {
        if (isContext(takes[i])) {
          given[i] = invocation.context(takes[i]);
        } else if (takes[i] == OutputStream.class) {
          given[i] = out;
        } else if (takes[i] == InputStream.class) {
          given[i] = new ByteArrayInputStream(text);
        } else {
          given[i] = Values.read(text, event == null ? takes[i] : event);
        }
      }
      Object answer = method.invoke(object, given);
      return streams ? out.toByteArray() : Values.write(answer);
    }
  }

  /** Events and answers: what JSON has itself, and beans by the function's own Jackson. */
  private static final class Values {
    private static Object mapper;

    static Object read(byte[] text, Type type) throws Exception {
      String json = new String(text, StandardCharsets.UTF_8);
      Class<?> raw = type instanceof Class ? (Class<?>) type : type instanceof ParameterizedType ? (Class<?>) ((ParameterizedType) type).getRawType() : Object.class;
      if (raw == Object.class || raw == Map.class || raw == LinkedHashMap.class || raw == List.class || raw == java.util.HashMap.class || raw == ArrayList.class) {
        boolean plain = !(type instanceof ParameterizedType);
        for (int i = 0; !plain && i < ((ParameterizedType) type).getActualTypeArguments().length; i++) {
          Type inner = ((ParameterizedType) type).getActualTypeArguments()[i];
          plain = inner == Object.class || inner == String.class && i == 0 && raw != List.class && raw != ArrayList.class;
          if (!plain) {
            break;
          }
        }
        if (plain || !jackson()) {
          return Json.read(json);
        }
      }
      Object value = raw == String.class || Number.class.isAssignableFrom(raw) || raw == Boolean.class || raw.isPrimitive() ? scalar(Json.read(json), raw) : null;
      if (value != null || json.trim().equals("null")) {
        return value;
      }
      if (!jackson()) {
        throw new IllegalArgumentException("the event is to become a " + type.getTypeName() + ", which takes Jackson: add com.fasterxml.jackson.core:jackson-databind to the function, or take a Map, a String or an InputStream");
      }
      Object factory = mapper.getClass().getMethod("getTypeFactory").invoke(mapper);
      Object known = factory.getClass().getMethod("constructType", Type.class).invoke(factory, type);
      Class<?> javaType = Class.forName("com.fasterxml.jackson.databind.JavaType");
      try {
        return mapper.getClass().getMethod("readValue", String.class, javaType).invoke(mapper, json, known);
      } catch (InvocationTargetException error) {
        throw error.getCause() instanceof Exception ? (Exception) error.getCause() : error;
      }
    }

    private static Object scalar(Object value, Class<?> type) {
      if (type == String.class && value instanceof String || type == Boolean.class || type == boolean.class) {
        return value;
      }
      if (type == String.class) {
        throw new IllegalArgumentException("An error occurred during JSON parsing: the event is no string, which the handler takes");
      }
      if (value instanceof Number) {
        Number number = (Number) value;
        if (type == Integer.class || type == int.class) {
          return number.intValue();
        }
        if (type == Long.class || type == long.class) {
          return number.longValue();
        }
        if (type == Double.class || type == double.class) {
          return number.doubleValue();
        }
      }
      return null;
    }

    static byte[] write(Object value) throws Exception {
      if (Json.knows(value)) {
        return Json.write(value).getBytes(StandardCharsets.UTF_8);
      }
      if (!jackson()) {
        throw new IllegalArgumentException("the answer is a " + value.getClass().getName() + ", which takes Jackson: add com.fasterxml.jackson.core:jackson-databind to the function, or return a Map, a String or null");
      }
      return (byte[]) mapper.getClass().getMethod("writeValueAsBytes", Object.class).invoke(mapper, value);
    }

    private static boolean jackson() throws Exception {
      if (mapper != null) {
        return true;
      }
      Class<?> type;
      try {
        type = Class.forName("com.fasterxml.jackson.databind.ObjectMapper");
      } catch (ClassNotFoundException absent) {
        return false;
      }
      mapper = type.getConstructor().newInstance();
      set("com.fasterxml.jackson.databind.DeserializationFeature", "FAIL_ON_UNKNOWN_PROPERTIES", false);
      set("com.fasterxml.jackson.databind.MapperFeature", "ACCEPT_CASE_INSENSITIVE_PROPERTIES", true);
      return true;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void set(String features, String feature, boolean value) throws Exception {
      Class type = Class.forName(features);
      mapper.getClass().getMethod("configure", type, boolean.class).invoke(mapper, Enum.valueOf(type, feature), value);
    }
  }
}
