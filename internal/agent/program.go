package agent

// Program is this program as a file that runs in any container of Linux on
// machines of the architecture, by the names that images have for it: for pods
// whose nodes have no registry to pull its image from.
func Program() (path, architecture string, err error) {
	if path, err = running(); err != nil {
		return "", "", err
	}
	e, err := inspect(path)
	return path, e.platform.Architecture, err
}
