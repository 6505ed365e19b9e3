package main

import (
	"fmt"
	"math"
	"strconv"
	"sync/atomic"

	"github.com/redis/rueidis"

	"github.com/nitrokv/nitrokv/tests/e2e/clients/scenario"
)

func counters(a app) {
	key := a.Key("counter")
	n, err := a.number(a.c.B().Incr().Key(key).Build())
	scenario.Equal(a.Run, "INCR of a missing key", n, err, 1)
	n, err = a.number(a.c.B().Incrby().Key(key).Increment(41).Build())
	scenario.Equal(a.Run, "INCRBY", n, err, 42)
	n, err = a.number(a.c.B().Decrby().Key(key).Decrement(2).Build())
	scenario.Equal(a.Run, "DECRBY", n, err, 40)
	n, err = a.number(a.c.B().Decr().Key(key).Build())
	scenario.Equal(a.Run, "DECR", n, err, 39)
	text, err := a.text(a.c.B().Getset().Key(key).Value("7").Build())
	scenario.Equal(a.Run, "GETSET", text, err, "39")
	text, err = a.text(a.c.B().Set().Key(key).Value("10").Get().Build())
	scenario.Equal(a.Run, "SET GET", text, err, "7")
	for _, step := range []struct {
		delta float64
		want  string
	}{{0.5, "10.5"}, {0.1, "10.6"}, {-10.6, "0"}} {
		text, err = a.text(a.c.B().Incrbyfloat().Key(key).Increment(step.delta).Build())
		scenario.Equal(a.Run, fmt.Sprint("INCRBYFLOAT ", step.delta), text, err, step.want)
		text, err = a.text(a.c.B().Get().Key(key).Build())
		scenario.Equal(a.Run, fmt.Sprint("what it leaves ", step.delta), text, err, step.want)
	}
	badCounters(a)
	sharedCounters(a)
}

// badCounters: an error leaves a value as it was.
func badCounters(a app) {
	word, most := a.Key("counter:new"), a.Key("counter:most")
	err := a.err(a.c.B().Getset().Key(word).Value("a text").Build())
	a.Missing("GETSET of a missing key", err, rueidis.IsRedisNil)
	err = a.err(a.c.B().Incr().Key(word).Build())
	a.Refused("INCR of a text", err, "value is not an integer or out of range")
	err = a.err(a.c.B().Incrbyfloat().Key(word).Increment(1.5).Build())
	a.Refused("INCRBYFLOAT of a text", err, "value is not a valid float")
	text, err := a.text(a.c.B().Get().Key(word).Build())
	scenario.Equal(a.Run, "the text afterwards", text, err, "a text")

	largest := strconv.Itoa(math.MaxInt64)
	text, err = a.text(a.c.B().Set().Key(most).Value(largest).Build())
	scenario.Equal(a.Run, "SET", text, err, "OK")
	err = a.err(a.c.B().Incr().Key(most).Build())
	a.Refused("INCR beyond 64 bits", err, "increment or decrement would overflow")
	text, err = a.text(a.c.B().Get().Key(most).Build())
	scenario.Equal(a.Run, "the counter afterwards", text, err, largest)
}

// sharedCounters: client 0 harvests while the others count; nothing is lost, and nothing is counted twice.
func sharedCounters(a app) {
	total, amount := a.Key("counter:shared"), a.Key("counter:amount")
	const rounds = 100
	var harvested atomic.Int64
	a.together(func(a app, number int) {
		for range rounds {
			if number == 0 {
				n, err := a.c.Do(a.ctx, a.c.B().Set().Key(total).Value("0").Get().Build()).AsInt64()
				if err != nil && !rueidis.IsRedisNil(err) {
					a.Fail("SET GET: %w", err)
				}
				harvested.Add(n)
				continue
			}
			if err := a.err(a.c.B().Incrby().Key(total).Increment(int64(number)).Build()); err != nil {
				a.Fail("INCRBY: %w", err)
			}
			if err := a.err(a.c.B().Incrbyfloat().Key(amount).Increment(0.25).Build()); err != nil {
				a.Fail("INCRBYFLOAT: %w", err)
			}
		}
	})
	rest, err := a.c.Do(a.ctx, a.c.B().Get().Key(total).Build()).AsInt64()
	scenario.Equal(a.Run, "the sum of all", harvested.Load()+rest, err, rounds*scenario.Clients*(scenario.Clients-1)/2)
	text, err := a.text(a.c.B().Get().Key(amount).Build())
	scenario.Equal(a.Run, "the sum of amounts", text, err, strconv.Itoa(rounds*(scenario.Clients-1)/4))
}
