package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/nitrokv/nitrokv/tests/e2e/clients/scenario"
)

// fill is SET NX PX; it reports whether the item was stored.
func fill(a app, key, value string, lifetime time.Duration) (bool, error) {
	status, err := a.text(a.c.B().Set().Key(key).Value(value).Nx().PxMilliseconds(lifetime.Milliseconds()).Build())
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	return status == "OK", err
}

// fetch is how an application reads an item: from the cache, or else from the database and into the cache.
func fetch(a app, k *scenario.Catalogue, i int) (string, error) {
	value, err := a.text(a.c.B().Get().Key(k.Keys[i]).Build())
	if !rueidis.IsRedisNil(err) {
		return value, err
	}
	k.Loads++
	stored, err := fill(a, k.Keys[i], k.Items[i], k.Lifetime(i))
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
		left, err := a.number(a.c.B().Pttl().Key(key).Build())
		scenario.Between(a.Run, "PTTL of an item", time.Duration(left)*time.Millisecond, err, k.Lifetime(i)-2*time.Minute,
			k.Lifetime(i))
	}
	stored, err := fill(a, k.Keys[3], "late", time.Second)
	scenario.Equal(a.Run, "SET NX of a cached item", stored, err, false)

	n, err := a.number(a.c.B().Del().Key(k.Keys[3]).Build())
	scenario.Equal(a.Run, "DEL after an update", n, err, 1)
	n, err = a.number(a.c.B().Del().Key(k.Keys[3]).Build())
	scenario.Equal(a.Run, "DEL again", n, err, 0)
	allBut(a, k, 3)
	k.Items[3] = "item 3, updated"
	value, err := fetch(a, k, 3)
	scenario.Equal(a.Run, "an updated item", value, err, k.Items[3])
	stampede(a)
}

// allBut demands that MGET returns all items but one, which is missing.
func allBut(a app, k *scenario.Catalogue, missing int) {
	values, err := a.c.Do(a.ctx, a.c.B().Mget().Key(k.Keys...).Build()).ToArray()
	scenario.Equal(a.Run, "values from MGET", len(values), err, len(k.Keys))
	for i, m := range values {
		value, err := m.ToString()
		if i == missing {
			a.Missing("MGET of the deleted item", err, rueidis.IsRedisNil)
		} else {
			scenario.Equal(a.Run, "MGET", value, err, k.Items[i])
		}
	}
}

// stampede: of several clients that fill an item at once, one wins, and all read what that one has written.
func stampede(a app) {
	hot := a.Key("item:hot")
	var winners, winner atomic.Int64
	a.together(func(a app, number int) {
		stored, err := fill(a, hot, fmt.Sprint("from ", number), 10*time.Minute)
		if err != nil {
			a.Fail("SET NX by client %d: %w", number, err)
		}
		if stored {
			winners.Add(1)
			winner.Store(int64(number))
		}
	})
	scenario.Equal(a.Run, "clients that have filled an item at once", winners.Load(), nil, 1)
	value, err := a.text(a.c.B().Get().Key(hot).Build())
	scenario.Equal(a.Run, "what all of them read", value, err, fmt.Sprint("from ", winner.Load()))
}
