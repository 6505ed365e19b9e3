package main

import (
	"sync/atomic"
	"time"

	"github.com/nitrokv/nitrokv/tests/e2e/clients/scenario"
)

// hit counts one request; it says which one of its window it is, and whether it has begun the window.
func hit(a app, counter string) (count int64, began bool) {
	replies := a.c.DoMulti(a.ctx, a.c.B().Incr().Key(counter).Build(),
		a.c.B().Expire().Key(counter).Seconds(int64(scenario.Window.Seconds())).Nx().Build())
	count, err := replies[0].ToInt64()
	if err != nil {
		a.Fail("INCR in a pipeline: %w", err)
	}
	first, err := replies[1].ToInt64()
	if err != nil {
		a.Fail("EXPIRE NX in a pipeline: %w", err)
	}
	return count, first == 1
}

func rateLimiter(a app) {
	counter := a.Key("rate:alice")
	for want := int64(1); want <= 4; want++ {
		count, began := hit(a, counter)
		scenario.Equal(a.Run, "the number of a request", count, nil, want)
		scenario.Equal(a.Run, "whether it began the window", began, nil, want == 1)
	}
	ttl, err := a.ttl(counter)
	scenario.Between(a.Run, "TTL of the window", ttl, err, scenario.Window-2*time.Minute, scenario.Window)

	const limit, attempts = 100, 40
	shared := a.Key("rate:everybody")
	var admitted, windows atomic.Int64
	a.together(func(a app, _ int) {
		for range attempts {
			count, began := hit(a, shared)
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
	n, err := a.c.Do(a.ctx, a.c.B().Get().Key(shared).Build()).AsInt64()
	scenario.Equal(a.Run, "requests counted", n, err, scenario.Clients*attempts)
	nextWindow(a, shared)
}

// nextWindow ends a window early and looks how the next one begins.
func nextWindow(a app, counter string) {
	n, err := a.number(a.c.B().Pexpire().Key(counter).Milliseconds(20).Build())
	scenario.Equal(a.Run, "PEXPIRE", n, err, 1)
	a.Until("the window is over", func() bool {
		n, err := a.number(a.c.B().Exists().Key(counter).Build())
		return err == nil && n == 0
	})
	count, began := hit(a, counter)
	scenario.Equal(a.Run, "the first request of the next window", count, nil, 1)
	scenario.Equal(a.Run, "whether it began that", began, nil, true)
	ttl, err := a.ttl(counter)
	scenario.Between(a.Run, "TTL of the next window", ttl, err, scenario.Window-2*time.Minute, scenario.Window)
}
