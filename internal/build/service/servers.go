package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
)

// Servers makes databases for builds on servers that run already, by the
// addresses that it is given: postgres://user:password@host:5432/postgres.
type Servers struct{}

var _ build.Databases = Servers{}

// administration is what may be done on one server. Names and passwords are
// letters, digits and underscores: nothing in them is to be quoted.
type administration interface {
	create(ctx context.Context, name, password string) error
	drop(ctx context.Context, name string) error
	close(ctx context.Context) error
}

// Create implements build.Databases. The variables of Environment are those
// that it returns.
func (Servers) Create(ctx context.Context, all []build.Database) (found map[string]string, secret []string, err error) {
	var accounts []Named
	for _, d := range all {
		account, err := create(ctx, d)
		if err != nil {
			return nil, nil, fmt.Errorf("make the database of service %s: %w", d.Service, err)
		}
		accounts = append(accounts, Named{d.Service, account})
	}
	found = Environment(accounts)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if slices.ContainsFunc(accounts, func(a Named) bool { return strings.Contains(found[name], a.Password) }) {
			secret = append(secret, name)
		}
	}
	return found, secret, nil
}

func create(ctx context.Context, d build.Database) (Account, error) {
	address, err := parse(d)
	if err != nil {
		return Account{}, err
	}
	server, err := address.connect(ctx)
	if err != nil {
		return Account{}, err
	}
	password := rand.Text()
	// One that a lost run of the build has left is not empty.
	err = server.drop(ctx, d.Name)
	if err == nil {
		err = server.create(ctx, d.Name, password)
	}
	if err = errors.Join(err, server.close(context.WithoutCancel(ctx))); err != nil {
		return Account{}, err
	}
	return Account{Engine: d.Engine, Host: address.host, Port: address.port, User: d.Name, Password: password, Database: d.Name, Query: address.query}, nil
}

// Drop implements build.Databases.
func (Servers) Drop(ctx context.Context, all []build.Database) error {
	var errs []error
	for _, d := range all {
		if err := drop(ctx, d); err != nil {
			errs = append(errs, fmt.Errorf("drop the database %s of service %s: %w", d.Name, d.Service, err))
		}
	}
	return errors.Join(errs...)
}

func drop(ctx context.Context, d build.Database) error {
	address, err := parse(d)
	if err != nil {
		return err
	}
	server, err := address.connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(server.drop(ctx, d.Name), server.close(context.WithoutCancel(ctx)))
}

// address is that of a server, with the account of its administrator.
type address struct {
	url   *url.URL
	host  string
	port  int
	query string
}

// schemes are how the addresses of servers begin, with their usual ports.
var schemes = map[string]struct {
	engines []string
	port    int
}{
	"postgres":   {[]string{pipeline.EnginePostgres}, 5432},
	"postgresql": {[]string{pipeline.EnginePostgres}, 5432},
	"mysql":      {[]string{pipeline.EngineMySQL, pipeline.EngineMariaDB}, 3306},
	"mariadb":    {[]string{pipeline.EngineMySQL, pipeline.EngineMariaDB}, 3306},
}

// postgresAddress is what an address looks like.
const postgresAddress = "postgres://USER:PASSWORD@HOST:5432/postgres?sslmode=require" //nolint:gosec // an example

// parse reads the address of a server. Errors do not show it, for it holds a
// password.
func parse(d build.Database) (address, error) {
	if d.Engine == pipeline.EngineRedis {
		return address{}, errors.New("a Redis server has no databases of a build's own: leave server out, and the build gets a server")
	}
	form := "mysql://USER:PASSWORD@HOST:3306/?tls=true" //nolint:gosec // an example
	if d.Engine == pipeline.EnginePostgres {
		form = postgresAddress
	}
	u, err := url.Parse(strings.TrimSpace(d.URL))
	if err != nil || u.Hostname() == "" {
		return address{}, fmt.Errorf("the secret that server names holds no address of a server: set it to one such as %s", form)
	}
	scheme, ok := schemes[u.Scheme]
	if !ok || !slices.Contains(scheme.engines, d.Engine) {
		return address{}, fmt.Errorf("the secret that server names holds the address of another kind of server, %s://: for the engine %s write one such as %s", u.Scheme, d.Engine, form)
	}
	a := address{url: u, host: u.Hostname(), port: scheme.port, query: u.RawQuery}
	if u.Port() != "" {
		if a.port, err = strconv.Atoi(u.Port()); err != nil {
			return address{}, fmt.Errorf("the secret that server names holds no address of a server: its port is no number")
		}
	}
	return a, nil
}

func (a address) connect(ctx context.Context) (administration, error) {
	if strings.HasPrefix(a.url.Scheme, "postgres") {
		return connectPostgres(ctx, a)
	}
	return connectMySQL(ctx, a)
}
