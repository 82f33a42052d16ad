package host

import "log/slog"

// mostProcesses is Config.Processes when it is not set: several times what
// compilers and test suites start, and a small part of what a machine can hold.
const mostProcesses = 4096

// Config says how builds run on this machine.
type Config struct {
	// Runner is the command line of a process that calls RunnerMain with the
	// one argument that is appended to it. Its program is phases.Tool, too.
	Runner []string
	// CacheDir keeps the caches of the tools, a directory per pipeline, and
	// the templates of databases.
	CacheDir string
	// UID is the first of 1000 user and group IDs that belong to nobody else.
	// Where Towline is root the builds of each pipeline get one. Default 64200.
	UID int
	// Users are users of this machine that a buildspec's run-as may name. The
	// commands of anybody who may push have their rights then, so root may not be among them. Default none.
	Users []string
	// Plain leaves out the namespaces, as where the system forbids them. Where
	// Towline is root the builds of all pipelines run as nobody then.
	Plain bool
	// Processes is how many processes and threads the user of a build may have
	// in all, also by other builds of the pipeline. It does not hold where the
	// builds run as Towline's own user, of whom it would count all. Default 4096.
	Processes int
	// Environ is the server's environment, of which builds get the search path
	// and the settings for proxies. Default os.Environ().
	Environ []string
	Log     *slog.Logger
}
