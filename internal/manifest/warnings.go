package manifest

// warnings are what no completion can mend.
func warnings(_ []Object) []Change { return nil }
