package main

import (
	"fmt"
	"math"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/nitrokv/nitrokv/tests/e2e/clients/scenario"
)

func counters(a app) {
	key := a.Key("counter")
	n, err := a.c.Incr(a.ctx, key).Result()
	scenario.Equal(a.Run, "INCR of a missing key", n, err, 1)
	n, err = a.c.IncrBy(a.ctx, key, 41).Result()
	scenario.Equal(a.Run, "INCRBY", n, err, 42)
	n, err = a.c.DecrBy(a.ctx, key, 2).Result()
	scenario.Equal(a.Run, "DECRBY", n, err, 40)
	n, err = a.c.Decr(a.ctx, key).Result()
	scenario.Equal(a.Run, "DECR", n, err, 39)
	old, err := a.c.Do(a.ctx, "GETSET", key, 7).Text()
	scenario.Equal(a.Run, "GETSET", old, err, "39")
	old, err = a.c.SetArgs(a.ctx, key, 10, redis.SetArgs{Get: true}).Result()
	scenario.Equal(a.Run, "SET GET", old, err, "7")
	x, err := a.c.IncrByFloat(a.ctx, key, 0.5).Result()
	scenario.Equal(a.Run, "INCRBYFLOAT", x, err, 10.5)
	x, err = a.c.IncrByFloat(a.ctx, key, 0.1).Result()
	scenario.Equal(a.Run, "INCRBYFLOAT again", x, err, 10.6)
	text, err := a.c.Get(a.ctx, key).Result()
	scenario.Equal(a.Run, "what it leaves", text, err, "10.6")
	x, err = a.c.IncrByFloat(a.ctx, key, -10.6).Result()
	scenario.Equal(a.Run, "INCRBYFLOAT downwards", x, err, 0)
	text, err = a.c.Get(a.ctx, key).Result()
	scenario.Equal(a.Run, "a sum without a fraction", text, err, "0")
	badCounters(a)
	sharedCounters(a)
}

// badCounters: an error leaves a value as it was.
func badCounters(a app) {
	word, most := a.Key("counter:new"), a.Key("counter:most")
	a.Missing("GETSET of a missing key", a.c.Do(a.ctx, "GETSET", word, "a text").Err(), missing)
	a.Refused("INCR of a text", a.c.Incr(a.ctx, word).Err(), "value is not an integer or out of range")
	a.Refused("INCRBYFLOAT of a text", a.c.IncrByFloat(a.ctx, word, 1.5).Err(), "value is not a valid float")
	text, err := a.c.Get(a.ctx, word).Result()
	scenario.Equal(a.Run, "the text afterwards", text, err, "a text")
	status, err := a.c.Set(a.ctx, most, math.MaxInt64, 0).Result()
	scenario.Equal(a.Run, "SET", status, err, "OK")
	a.Refused("INCR beyond 64 bits", a.c.Incr(a.ctx, most).Err(), "increment or decrement would overflow")
	n, err := a.c.Get(a.ctx, most).Int64()
	scenario.Equal(a.Run, "the counter afterwards", n, err, math.MaxInt64)
}

// sharedCounters: client 0 harvests while the others count; nothing is lost, and nothing is counted twice.
func sharedCounters(a app) {
	total, amount := a.Key("counter:shared"), a.Key("counter:amount")
	const rounds = 100
	var harvested atomic.Int64
	a.together(func(c *redis.Client, number int) {
		for range rounds {
			if number == 0 {
				n, err := c.Do(a.ctx, "GETSET", total, 0).Int64()
				if err != nil && !missing(err) {
					a.Fail("GETSET: %w", err)
				}
				harvested.Add(n)
				continue
			}
			if err := c.IncrBy(a.ctx, total, int64(number)).Err(); err != nil {
				a.Fail("INCRBY: %w", err)
			}
			if err := c.IncrByFloat(a.ctx, amount, 0.25).Err(); err != nil {
				a.Fail("INCRBYFLOAT: %w", err)
			}
		}
	})
	rest, err := a.c.Get(a.ctx, total).Int64()
	scenario.Equal(a.Run, "the sum of all", harvested.Load()+rest, err, rounds*scenario.Clients*(scenario.Clients-1)/2)
	text, err := a.c.Get(a.ctx, amount).Result()
	scenario.Equal(a.Run, "the sum of amounts", text, err, fmt.Sprint(rounds*(scenario.Clients-1)/4))
}
