// Command goredis plays the scenarios of ../README.md through go-redis.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

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
	c   *redis.Client
}

func play(f func(app)) func(*scenario.Run) {
	return func(r *scenario.Run) {
		a := app{r, context.Background(), open(r, r.Password)}
		defer a.close(a.c)
		f(a)
	}
}

func open(r *scenario.Run, password string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: r.Addr, Protocol: r.Protocol, Password: password, ClientName: r.Name(),
		ReadTimeout: scenario.Limit, WriteTimeout: scenario.Limit})
}

func (a app) close(c *redis.Client) {
	if err := c.Close(); err != nil {
		a.Fail("closing a client: %w", err)
	}
}

// together runs f with several clients at once.
func (a app) together(f func(c *redis.Client, number int)) {
	scenario.Together(func(number int) {
		c := open(a.Run, a.Password)
		defer a.close(c)
		f(c, number)
	})
}

func missing(err error) bool { return errors.Is(err, redis.Nil) }

func sessionStore(a app) {
	session, content := a.Key("session:alice"), `{"user": "Alice", "cart": ["Müsli", 2]}`
	status, err := a.c.Set(a.ctx, session, content, 30*time.Minute).Result()
	scenario.Equal(a.Run, "SET EX", status, err, "OK")
	ttl, err := a.c.TTL(a.ctx, session).Result()
	scenario.Between(a.Run, "TTL after the login", ttl, err, 28*time.Minute, 30*time.Minute)
	got, err := a.c.Get(a.ctx, session).Result()
	scenario.Equal(a.Run, "GET", got, err, content)
	got, err = a.c.GetEx(a.ctx, session, time.Hour).Result()
	scenario.Equal(a.Run, "GETEX EX", got, err, content)
	ttl, err = a.c.TTL(a.ctx, session).Result()
	scenario.Between(a.Run, "TTL after a request", ttl, err, 58*time.Minute, time.Hour)
	got, err = a.c.GetEx(a.ctx, session, redis.KeepTTL).Result()
	scenario.Equal(a.Run, "GETEX without an option", got, err, content)
	ttl, err = a.c.TTL(a.ctx, session).Result()
	scenario.Between(a.Run, "TTL after GETEX without an option", ttl, err, 56*time.Minute, time.Hour)
	got, err = a.c.GetEx(a.ctx, session, 0).Result()
	scenario.Equal(a.Run, "GETEX PERSIST", got, err, content)
	ttl, err = a.c.TTL(a.ctx, session).Result()
	scenario.Equal(a.Run, "TTL after PERSIST", ttl, err, -1)
	logout(a, session, content)

	unused := a.Key("session:bob")
	status, err = a.c.Set(a.ctx, unused, content, 30*time.Millisecond).Result()
	scenario.Equal(a.Run, "SET PX", status, err, "OK")
	a.Until("a session has expired", func() bool { return missing(a.c.GetEx(a.ctx, unused, redis.KeepTTL).Err()) })
	n, err := a.c.Exists(a.ctx, unused).Result()
	scenario.Equal(a.Run, "EXISTS of an expired session", n, err, 0)
	ttl, err = a.c.TTL(a.ctx, unused).Result()
	scenario.Equal(a.Run, "TTL of an expired session", ttl, err, -2)
}

func logout(a app, session, content string) {
	got, err := a.c.GetDel(a.ctx, session).Result()
	scenario.Equal(a.Run, "GETDEL at logout", got, err, content)
	a.Missing("GETDEL again", a.c.GetDel(a.ctx, session).Err(), missing)
	a.Missing("GETEX after the logout", a.c.GetEx(a.ctx, session, time.Hour).Err(), missing)
	a.Missing("GET after the logout", a.c.Get(a.ctx, session).Err(), missing)
	ttl, err := a.c.TTL(a.ctx, session).Result()
	scenario.Equal(a.Run, "TTL after the logout", ttl, err, -2)
}

func passwords(a app) {
	pong, err := a.c.Ping(a.ctx).Result()
	scenario.Equal(a.Run, "PING with the password", pong, err, "PONG")
	wrong := open(a.Run, a.Password+"x")
	defer a.close(wrong)
	a.Refused("a wrong password", wrong.Get(a.ctx, a.Key("secret")).Err(), "WRONGPASS ")
	none := open(a.Run, "")
	defer a.close(none)
	a.Refused("no password", none.Get(a.ctx, a.Key("secret")).Err(), "NOAUTH ")
	a.Missing("GET with the password", a.c.Get(a.ctx, a.Key("secret")).Err(), missing)
}

func restart(a app) {
	value, counter := a.Key("restart"), a.Key("restart:counter")
	status, err := a.c.Set(a.ctx, value, scenario.AllBytes(), 0).Result()
	scenario.Equal(a.Run, "SET", status, err, "OK")
	n, err := a.c.Incr(a.ctx, counter).Result()
	scenario.Equal(a.Run, "INCR", n, err, 1)
	a.Restarted()
	a.Until("the client is back", func() bool { return a.c.Exists(a.ctx, value).Err() == nil })
	got, err := a.c.Get(a.ctx, value).Result()
	scenario.Equal(a.Run, "GET after the restart", got, err, scenario.AllBytes())
	n, err = a.c.Incr(a.ctx, counter).Result()
	scenario.Equal(a.Run, "INCR after the restart", n, err, 2)
}
