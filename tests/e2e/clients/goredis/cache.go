package main

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/nitrokv/nitrokv/tests/e2e/clients/scenario"
)

// fetch is how an application reads an item: from the cache, or else from the database and into the cache.
func fetch(a app, k *scenario.Catalogue, i int) (string, error) {
	value, err := a.c.Get(a.ctx, k.Keys[i]).Result()
	if !missing(err) {
		return value, err
	}
	k.Loads++
	stored, err := a.c.SetNX(a.ctx, k.Keys[i], k.Items[i], k.Lifetime(i)).Result()
	scenario.Equal(a.Run, "SET NX PX", stored, err, true)
	return k.Items[i], nil
}

func cacheAside(a app) {
	k := a.Catalogue()
	for _, turn := range []string{"misses", "hits"} {
		for i, want := range k.Items {
			value, err := fetch(a, k, i)
			scenario.Equal(a.Run, "an item, "+turn, value, err, want)
		}
		scenario.Equal(a.Run, "loads from the database, "+turn, k.Loads, nil, len(k.Items))
	}
	for i, key := range k.Keys {
		left, err := a.c.PTTL(a.ctx, key).Result()
		scenario.Between(a.Run, "PTTL of an item", left, err, k.Lifetime(i)-2*time.Minute, k.Lifetime(i))
	}
	stored, err := a.c.SetNX(a.ctx, k.Keys[3], "late", time.Second).Result()
	scenario.Equal(a.Run, "SET NX of a cached item", stored, err, false)

	n, err := a.c.Del(a.ctx, k.Keys[3]).Result()
	scenario.Equal(a.Run, "DEL after an update", n, err, 1)
	n, err = a.c.Del(a.ctx, k.Keys[3]).Result()
	scenario.Equal(a.Run, "DEL again", n, err, 0)
	want := make([]any, len(k.Items))
	for i, value := range k.Items {
		want[i] = value
	}
	want[3] = nil
	if got, err := a.c.MGet(a.ctx, k.Keys...).Result(); err != nil || !slices.Equal(got, want) {
		a.Fail("MGET: got %v, %v; want %v", got, err, want)
	}
	k.Items[3] = "item 3, updated"
	value, err := fetch(a, k, 3)
	scenario.Equal(a.Run, "an updated item", value, err, k.Items[3])
	stampede(a)
}

// stampede: of several clients that fill an item at once, one wins, and all read what that one has written.
func stampede(a app) {
	hot := a.Key("item:hot")
	var winners, winner atomic.Int64
	a.together(func(c *redis.Client, number int) {
		stored, err := c.SetNX(a.ctx, hot, fmt.Sprint("from ", number), 10*time.Minute).Result()
		if err != nil {
			a.Fail("SET NX by client %d: %w", number, err)
		}
		if stored {
			winners.Add(1)
			winner.Store(int64(number))
		}
	})
	scenario.Equal(a.Run, "clients that have filled an item at once", winners.Load(), nil, 1)
	value, err := a.c.Get(a.ctx, hot).Result()
	scenario.Equal(a.Run, "what all of them read", value, err, fmt.Sprint("from ", winner.Load()))
}
