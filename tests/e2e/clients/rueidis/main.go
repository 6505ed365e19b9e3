// Command rueidis plays the scenarios of ../README.md through rueidis. Client-side caching is off: it needs CLIENT TRACKING.
package main

import (
	"context"
	"os"
	"time"

	"github.com/redis/rueidis"

	"github.com/nitrokv/nitrokv/tests/e2e/clients/scenario"
)

func main() {
	os.Exit(scenario.Main(map[string]func(*scenario.Run){
		"session-store": play(sessionStore),
		"rate-limiter":  play(rateLimiter),
		"cache-aside":   play(cacheAside),
		"counters":      play(counters),
		"bulk-load":     play(bulkLoad),
		"passwords":     play(passwords),
		"restart":       play(restart),
	}))
}

// An app is a scenario with a client of its own.
type app struct {
	*scenario.Run
	ctx context.Context
	c   rueidis.Client
}

func play(f func(app)) func(*scenario.Run) {
	return func(r *scenario.Run) {
		with(r, func(c rueidis.Client) { f(app{r, context.Background(), c}) })
	}
}

func open(r *scenario.Run, password string) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{r.Addr}, AlwaysRESP2: r.Protocol == 2,
		Password: password, ClientName: r.Name(), ForceSingleClient: true, DisableCache: true,
		ConnWriteTimeout: scenario.Limit})
}

// with runs f with a client.
func with(r *scenario.Run, f func(c rueidis.Client)) {
	c, err := open(r, r.Password)
	if err != nil {
		r.Fail("connecting: %w", err)
		return
	}
	defer c.Close()
	f(c)
}

// together runs f with several clients at once.
func (a app) together(f func(a app, number int)) {
	scenario.Together(func(number int) {
		with(a.Run, func(c rueidis.Client) { f(app{a.Run, a.ctx, c}, number) })
	})
}

// text is the reply to a command that answers with a string; an integer is none.
func (a app) text(cmd rueidis.Completed) (string, error) { return a.c.Do(a.ctx, cmd).ToString() }

// number is the reply to a command that answers with an integer.
func (a app) number(cmd rueidis.Completed) (int64, error) { return a.c.Do(a.ctx, cmd).ToInt64() }

func (a app) err(cmd rueidis.Completed) error { return a.c.Do(a.ctx, cmd).Error() }

// ttl is the reply of TTL for a key that expires.
func (a app) ttl(key string) (time.Duration, error) {
	seconds, err := a.number(a.c.B().Ttl().Key(key).Build())
	return time.Duration(seconds) * time.Second, err
}

func sessionStore(a app) {
	session, content := a.Key("session:alice"), `{"user": "Alice", "cart": ["Müsli", 2]}`
	got, err := a.text(a.c.B().Set().Key(session).Value(content).ExSeconds(1800).Build())
	scenario.Equal(a.Run, "SET EX", got, err, "OK")
	ttl, err := a.ttl(session)
	scenario.Between(a.Run, "TTL after the login", ttl, err, 28*time.Minute, 30*time.Minute)
	got, err = a.text(a.c.B().Get().Key(session).Build())
	scenario.Equal(a.Run, "GET", got, err, content)
	got, err = a.text(a.c.B().Getex().Key(session).ExSeconds(3600).Build())
	scenario.Equal(a.Run, "GETEX EX", got, err, content)
	ttl, err = a.ttl(session)
	scenario.Between(a.Run, "TTL after a request", ttl, err, 58*time.Minute, time.Hour)
	got, err = a.text(a.c.B().Getex().Key(session).Build())
	scenario.Equal(a.Run, "GETEX without an option", got, err, content)
	ttl, err = a.ttl(session)
	scenario.Between(a.Run, "TTL after GETEX without an option", ttl, err, 56*time.Minute, time.Hour)
	got, err = a.text(a.c.B().Getex().Key(session).Persist().Build())
	scenario.Equal(a.Run, "GETEX PERSIST", got, err, content)
	left, err := a.number(a.c.B().Ttl().Key(session).Build())
	scenario.Equal(a.Run, "TTL after PERSIST", left, err, -1)
	logout(a, session, content)

	unused := a.Key("session:bob")
	got, err = a.text(a.c.B().Set().Key(unused).Value(content).PxMilliseconds(30).Build())
	scenario.Equal(a.Run, "SET PX", got, err, "OK")
	a.Until("a session has expired", func() bool {
		return rueidis.IsRedisNil(a.err(a.c.B().Getex().Key(unused).Build()))
	})
	n, err := a.number(a.c.B().Exists().Key(unused).Build())
	scenario.Equal(a.Run, "EXISTS of an expired session", n, err, 0)
	n, err = a.number(a.c.B().Ttl().Key(unused).Build())
	scenario.Equal(a.Run, "TTL of an expired session", n, err, -2)
}

func logout(a app, session, content string) {
	got, err := a.text(a.c.B().Getdel().Key(session).Build())
	scenario.Equal(a.Run, "GETDEL at logout", got, err, content)
	a.Missing("GETDEL again", a.err(a.c.B().Getdel().Key(session).Build()), rueidis.IsRedisNil)
	err = a.err(a.c.B().Getex().Key(session).ExSeconds(3600).Build())
	a.Missing("GETEX after the logout", err, rueidis.IsRedisNil)
	a.Missing("GET after the logout", a.err(a.c.B().Get().Key(session).Build()), rueidis.IsRedisNil)
	left, err := a.number(a.c.B().Ttl().Key(session).Build())
	scenario.Equal(a.Run, "TTL after the logout", left, err, -2)
}

func passwords(a app) {
	pong, err := a.text(a.c.B().Ping().Build())
	scenario.Equal(a.Run, "PING with the password", pong, err, "PONG")
	a.Refused("a wrong password", refusal(a, a.Password+"x"), "WRONGPASS ")
	a.Refused("no password", refusal(a, ""), "NOAUTH ")
	err = a.err(a.c.B().Get().Key(a.Key("secret")).Build())
	a.Missing("GET with the password", err, rueidis.IsRedisNil)
}

// refusal is the error of a client with another password: of its first connection, or of a GET.
func refusal(a app, password string) error {
	c, err := open(a.Run, password)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Do(a.ctx, c.B().Get().Key(a.Key("secret")).Build()).Error()
}

func restart(a app) {
	value, counter := a.Key("restart"), a.Key("restart:counter")
	got, err := a.text(a.c.B().Set().Key(value).Value(scenario.AllBytes()).Build())
	scenario.Equal(a.Run, "SET", got, err, "OK")
	n, err := a.number(a.c.B().Incr().Key(counter).Build())
	scenario.Equal(a.Run, "INCR", n, err, 1)
	a.Restarted()
	a.Until("the client is back", func() bool { return a.err(a.c.B().Exists().Key(value).Build()) == nil })
	got, err = a.text(a.c.B().Get().Key(value).Build())
	scenario.Equal(a.Run, "GET after the restart", got, err, scenario.AllBytes())
	// The client chooses one of several connections at random. A write on a dead one is an error and not repeated, since it
	// might have been executed; it was not, for the sum is right.
	a.Until("the client can write", func() bool {
		n, err = a.number(a.c.B().Incr().Key(counter).Build())
		return err == nil
	})
	scenario.Equal(a.Run, "INCR after the restart", n, err, 2)
}
