package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Databases makes databases for builds on servers that run already. It is called
// by many builds at once.
type Databases interface {
	// Create makes the databases, each empty and with an account of its own, and
	// makes those anew that are there. It returns the variables by which the
	// commands find them, and those among them that are secret. An error never
	// holds a password.
	Create(ctx context.Context, all []Database) (found map[string]string, secret []string, err error)
	// Drop removes the databases and their accounts, and those who are connected.
	// One that is not there is no error.
	Drop(ctx context.Context, all []Database) error
}

// Database is one of a build's own on a server that others use too.
type Database struct {
	Service string // what the build calls it
	Engine  string // one of the Engine constants of package pipeline
	URL     string // of the server, with an account that may make databases and accounts
	Name    string // of the database and of its account: letters, digits and underscores
}

// dropWithin is how long the removal of a build's databases may take.
const dropWithin = 30 * time.Second

// onServers are the services of a build that are databases on running servers,
// in the order of their names.
func onServers(services map[string]pipeline.Service) []wantedDatabase {
	var all []wantedDatabase
	for _, name := range slices.Sorted(maps.Keys(services)) {
		if s := services[name]; s.Server != "" {
			all = append(all, wantedDatabase{Service: name, Engine: s.Engine, Secret: s.Server})
		}
	}
	return all
}

// wantedDatabase is a Database whose server is known by the name of a secret.
type wantedDatabase struct {
	Service string `json:"service"`
	Engine  string `json:"engine"`
	Secret  string `json:"secret"`
}

// databases opens the addresses of the servers. The names are the same each time
// that the job is given.
func (a Action) databases(ctx context.Context, job pipeline.Job, p plan) ([]Database, error) {
	if len(p.Databases) > 0 && a.Databases == nil {
		return nil, refuse("service %s names a server, and none can be used here: leave server out", p.Databases[0].Service)
	}
	var all []Database
	for _, w := range p.Databases {
		url, err := a.secret(ctx, job, wanted{Variable: "services." + w.Service + ".server", Kind: OwnSecret, Name: w.Secret})
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", p.Build.Key, w.Service))
		all = append(all, Database{Service: w.Service, Engine: w.Engine, URL: url, Name: "towline_" + hex.EncodeToString(sum[:8])})
	}
	return all, nil
}

// createDatabases makes the databases of a build that begins to run, and puts
// into v how they are found.
func (a Action) createDatabases(ctx context.Context, job pipeline.Job, p plan, v *Values) error {
	all, err := a.databases(ctx, job, p)
	if err != nil || len(all) == 0 {
		return err
	}
	found, secret, err := a.Databases.Create(ctx, all)
	if err != nil {
		return err
	}
	for _, d := range all {
		fmt.Fprintf(job.Log, "service %s: the database %s on the server of the service\n", d.Service, d.Name)
	}
	for name, value := range found {
		if slices.Contains(secret, name) {
			v.Env[name] = value
		} else {
			v.Plain[name] = value
		}
	}
	return nil
}

// dropDatabases removes the databases of a build that has ended. That it could
// not is said in the log: the build has ended as it has.
func (a Action) dropDatabases(ctx context.Context, job pipeline.Job, p plan) {
	if len(p.Databases) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropWithin)
	defer cancel()
	all, err := a.databases(ctx, job, p)
	if err == nil {
		err = a.Databases.Drop(ctx, all)
	}
	if err != nil {
		fmt.Fprintf(job.Log, "warning: the build's databases could not be dropped: %v\n", err)
	}
}
