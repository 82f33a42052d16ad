package build

import "slices"

// Values are what a build gets to know when it begins to run. Its log must not
// show them, but for Plain.
type Values struct {
	// Env is set over Build.Env, and Override over Build.Override.
	Env      map[string]string `json:"env,omitempty"`
	Override map[string]string `json:"override,omitempty"`
	// Plain is set before Env, and may be seen.
	Plain map[string]string `json:"plain,omitempty"`
	// Git is what git in the commands may sign in with; the zero value is
	// nothing.
	Git GitCredential `json:"git,omitzero"`
}

// GitCredential signs in to one server by HTTPS.
type GitCredential struct {
	Host     string `json:"host"` // with the port when it is not 443
	User     string `json:"user"`
	Password string `json:"password"`
}

// Hidden are the texts that no log may show.
func (v Values) Hidden() []string {
	var hidden []string
	for _, values := range []map[string]string{v.Env, v.Override} {
		for _, value := range values {
			hidden = append(hidden, value)
		}
	}
	hidden = append(hidden, v.Git.Password)
	slices.Sort(hidden)
	hidden = slices.Compact(hidden)
	return slices.DeleteFunc(hidden, func(text string) bool { return text == "" })
}
