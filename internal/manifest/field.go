package manifest

// The fields of an object that came from outside may be of any type. These
// read them without copying and treat a field of the wrong type as absent,
// for the API server says what is wrong with it better than we could.

func valueAt(m map[string]any, fields ...string) (any, bool) {
	for i, f := range fields {
		v, ok := m[f]
		if !ok || i == len(fields)-1 {
			return v, ok && v != nil
		}
		if m, ok = v.(map[string]any); !ok {
			return nil, false
		}
	}
	return m, m != nil
}

func mapAt(m map[string]any, fields ...string) (map[string]any, bool) {
	v, _ := valueAt(m, fields...)
	found, ok := v.(map[string]any)
	return found, ok
}

func sliceAt(m map[string]any, fields ...string) ([]any, bool) {
	v, _ := valueAt(m, fields...)
	found, ok := v.([]any)
	return found, ok
}

func stringAt(m map[string]any, fields ...string) string {
	v, _ := valueAt(m, fields...)
	s, _ := v.(string)
	return s
}

func intAt(m map[string]any, fields ...string) (int64, bool) {
	v, _ := valueAt(m, fields...)
	return asInt(v)
}

func asInt(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	case float64:
		return int64(n), n == float64(int64(n))
	}
	return 0, false
}

func stringMapAt(m map[string]any, fields ...string) map[string]string {
	found, _ := mapAt(m, fields...)
	out := make(map[string]string, len(found))
	for k, v := range found {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}
