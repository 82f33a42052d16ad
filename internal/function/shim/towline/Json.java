package towline;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON as maps, lists, strings, numbers and truth values: enough for events, and no library's. */
final class Json {
  private static final int DEEPEST = 500;

  private final String text;
  private int at;
  private int depth;

  private Json(String text) {
    this.text = text;
  }

  static Object read(String text) {
    Json json = new Json(text);
    Object value = json.value();
    json.space();
    if (json.at != text.length()) {
      throw json.wrong();
    }
    return value;
  }

  /** Tells whether write can write the value, without looking into it. */
  static boolean knows(Object value) {
    return value == null || value instanceof CharSequence || value instanceof Number || value instanceof Boolean || value instanceof Map || value instanceof Iterable;
  }

  static String write(Object value) {
    StringBuilder out = new StringBuilder();
    write(value, out);
    return out.toString();
  }

  private static void write(Object value, StringBuilder out) {
    if (value instanceof CharSequence) {
      quote(value.toString(), out);
    } else if (value instanceof Map) {
      String between = "{";
      for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
        out.append(between);
        quote(String.valueOf(entry.getKey()), out);
        out.append(':');
        write(entry.getValue(), out);
        between = ",";
      }
      out.append(between.equals("{") ? "{}" : "}");
    } else if (value instanceof Iterable) {
      String between = "[";
      for (Object inner : (Iterable<?>) value) {
        out.append(between);
        write(inner, out);
        between = ",";
      }
      out.append(between.equals("[") ? "[]" : "]");
    } else if (knows(value)) {
      out.append(value);
    } else {
      throw new IllegalArgumentException("a " + value.getClass().getName() + " in the answer takes Jackson: add com.fasterxml.jackson.core:jackson-databind to the function");
    }
  }

  private static void quote(String value, StringBuilder out) {
    out.append('"');
    for (int i = 0; i < value.length(); i++) {
      char c = value.charAt(i);
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < ' ' || Character.isSurrogate(c)) {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    out.append('"');
  }

  private Object value() {
    space();
    if (++depth > DEEPEST || at >= text.length()) {
      throw wrong();
    }
    Object value;
    char c = text.charAt(at);
    if (c == '{') {
      value = object();
    } else if (c == '[') {
      value = list();
    } else if (c == '"') {
      value = string();
    } else if (c == '-' || c >= '0' && c <= '9') {
      value = number();
    } else if (word("true")) {
      value = Boolean.TRUE;
    } else if (word("false")) {
      value = Boolean.FALSE;
    } else if (word("null")) {
      value = null;
    } else {
      throw wrong();
    }
    depth--;
    return value;
  }

  private Map<String, Object> object() {
    Map<String, Object> found = new LinkedHashMap<>();
    at++;
    if (next('}')) {
      return found;
    }
    do {
      space();
      if (at >= text.length() || text.charAt(at) != '"') {
        throw wrong();
      }
      String name = string();
      if (!next(':')) {
        throw wrong();
      }
      found.put(name, value());
    } while (next(','));
    if (!next('}')) {
      throw wrong();
    }
    return found;
  }

  private List<Object> list() {
    List<Object> found = new ArrayList<>();
    at++;
    if (next(']')) {
      return found;
    }
    do {
      found.add(value());
    } while (next(','));
    if (!next(']')) {
      throw wrong();
    }
    return found;
  }

  private String string() {
    StringBuilder found = new StringBuilder();
    for (at++; at < text.length(); at++) {
      char c = text.charAt(at);
      if (c == '"') {
        at++;
        return found.toString();
      }
      if (c == '\\') {
        found.append(escaped());
      } else {
        found.append(c);
      }
    }
    throw wrong();
  }

  private char escaped() {
    if (++at >= text.length()) {
      throw wrong();
    }
    char c = text.charAt(at);
    int plain = "\"\\/bfnrt".indexOf(c);
    if (plain >= 0) {
      return "\"\\/\b\f\n\r\t".charAt(plain);
    }
    if (c != 'u' || at + 4 >= text.length()) {
      throw wrong();
    }
    at += 4;
    return (char) Integer.parseInt(text.substring(at - 3, at + 1), 16);
  }

  private Object number() {
    int from = at;
    boolean whole = true;
    for (; at < text.length() && "+-0123456789.eE".indexOf(text.charAt(at)) >= 0; at++) {
      whole = whole && ".eE".indexOf(text.charAt(at)) < 0;
    }
    String found = text.substring(from, at);
    if (!whole) {
      return Double.valueOf(found);
    }
    long value = Long.parseLong(found);
    if (value == (int) value) {
      return (int) value;
    }
    return value;
  }

  private boolean word(String word) {
    if (!text.startsWith(word, at)) {
      return false;
    }
    at += word.length();
    return true;
  }

  private boolean next(char c) {
    space();
    if (at >= text.length() || text.charAt(at) != c) {
      return false;
    }
    at++;
    return true;
  }

  private void space() {
    while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
      at++;
    }
  }

  private IllegalArgumentException wrong() {
    return new IllegalArgumentException("the event is no JSON at character " + at);
  }
}
