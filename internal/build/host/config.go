package host

import "log/slog"

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
	// Memory, Disk and Processes are what a build may use at most: bytes of
	// memory of its processes together, bytes of its files and its pipeline's
	// caches, processes and threads. A build can ask for less. Where builds run as
	// users of their own, Processes counts all of the user, also those of other
	// builds of the pipeline. Default three quarters of the machine's memory,
	// 64 GiB and 4096; less than zero is no limit.
	Memory, Disk int64
	Processes    int
	// Spare is how many bytes of the disk are left to the server: when fewer are,
	// builds end that hold as many. Default 1 GiB, or a twentieth of a smaller
	// file system.
	Spare int64
	// Environ is the server's environment, of which builds get the search path
	// and the settings for proxies. Default os.Environ().
	Environ []string
	Log     *slog.Logger
}
