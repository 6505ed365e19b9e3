package main

import (
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/nitrokv/nitrokv/tests/e2e/clients/scenario"
)

// hit counts one request; it says which one of its window it is, and whether it has begun the window.
func hit(a app, c *redis.Client, counter string) (count int64, began bool) {
	pipe := c.Pipeline()
	n, first := pipe.Incr(a.ctx, counter), pipe.ExpireNX(a.ctx, counter, scenario.Window)
	if _, err := pipe.Exec(a.ctx); err != nil {
		a.Fail("INCR and EXPIRE NX in a pipeline: %w", err)
	}
	return n.Val(), first.Val()
}

func rateLimiter(a app) {
	counter := a.Key("rate:alice")
	for want := int64(1); want <= 4; want++ {
		count, began := hit(a, a.c, counter)
		scenario.Equal(a.Run, "the number of a request", count, nil, want)
		scenario.Equal(a.Run, "whether it began the window", began, nil, want == 1)
	}
	ttl, err := a.c.TTL(a.ctx, counter).Result()
	scenario.Between(a.Run, "TTL of the window", ttl, err, scenario.Window-2*time.Minute, scenario.Window)

	const limit, attempts = 100, 40
	shared := a.Key("rate:everybody")
	var admitted, windows atomic.Int64
	a.together(func(c *redis.Client, _ int) {
		for range attempts {
			count, began := hit(a, c, shared)
			if count <= limit {
				admitted.Add(1)
			}
			if began {
				windows.Add(1)
			}
		}
	})
	scenario.Equal(a.Run, "requests admitted", admitted.Load(), nil, limit)
	scenario.Equal(a.Run, "requests that began a window", windows.Load(), nil, 1)
	n, err := a.c.Get(a.ctx, shared).Int()
	scenario.Equal(a.Run, "requests counted", n, err, scenario.Clients*attempts)
	nextWindow(a, shared)
}

// nextWindow ends a window early and looks how the next one begins.
func nextWindow(a app, counter string) {
	ok, err := a.c.PExpire(a.ctx, counter, 20*time.Millisecond).Result()
	scenario.Equal(a.Run, "PEXPIRE", ok, err, true)
	a.Until("the window is over", func() bool {
		n, err := a.c.Exists(a.ctx, counter).Result()
		return err == nil && n == 0
	})
	count, began := hit(a, a.c, counter)
	scenario.Equal(a.Run, "the first request of the next window", count, nil, 1)
	scenario.Equal(a.Run, "whether it began that", began, nil, true)
	ttl, err := a.c.TTL(a.ctx, counter).Result()
	scenario.Between(a.Run, "TTL of the next window", ttl, err, scenario.Window-2*time.Minute, scenario.Window)
}
