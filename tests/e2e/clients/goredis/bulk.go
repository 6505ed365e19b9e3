package main

import (
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/nitrokv/nitrokv/tests/e2e/clients/scenario"
)

func bulkLoad(a app) {
	values := map[string]string{}
	var keys []string
	for i := range 2 * scenario.Bulk {
		key, value := a.BulkPair(i)
		keys, values[key] = append(keys, key), value
	}
	load(a, keys, values)
	seen := scan(a)
	for _, key := range keys {
		if !seen[key] {
			a.Fail("SCAN has not found %q", key)
		}
	}
	scenario.Equal(a.Run, "keys found by SCAN", len(seen), nil, len(keys))
	for batch := range slices.Chunk(keys, scenario.Batch) {
		compare(a, batch, values)
	}
	for batch := range slices.Chunk(keys, scenario.Batch) {
		n, err := a.c.Unlink(a.ctx, batch...).Result()
		scenario.Equal(a.Run, "UNLINK", n, err, scenario.Batch)
	}
	n, err := a.c.Unlink(a.ctx, keys[:scenario.Batch]...).Result()
	scenario.Equal(a.Run, "UNLINK again", n, err, 0)
	scenario.Equal(a.Run, "keys found by SCAN afterwards", len(scan(a)), nil, 0)
	largeValue(a)
}

// load writes half of the keys by SETs in one pipeline, the other half by MSETs in another.
func load(a app, keys []string, values map[string]string) {
	pipe := a.c.Pipeline()
	for _, key := range keys[:scenario.Bulk] {
		pipe.Set(a.ctx, key, values[key], 0)
	}
	stored(a, pipe, scenario.Bulk)
	for batch := range slices.Chunk(keys[scenario.Bulk:], scenario.Batch) {
		var pairs []any
		for _, key := range batch {
			pairs = append(pairs, key, values[key])
		}
		pipe.MSet(a.ctx, pairs...)
	}
	stored(a, pipe, scenario.Bulk/scenario.Batch)
}

// stored executes a pipeline of writes.
func stored(a app, pipe redis.Pipeliner, want int) {
	replies, err := pipe.Exec(a.ctx)
	scenario.Equal(a.Run, "replies to a pipeline", len(replies), err, want)
	for _, reply := range replies {
		status, ok := reply.(*redis.StatusCmd)
		if !ok {
			a.Fail("a write in a pipeline is %T", reply)
			return
		}
		scenario.Equal(a.Run, "a write in a pipeline", status.Val(), status.Err(), "OK")
	}
}

func compare(a app, keys []string, values map[string]string) {
	got, err := a.c.MGet(a.ctx, keys...).Result()
	scenario.Equal(a.Run, "values from MGET", len(got), err, len(keys))
	for i, value := range got {
		scenario.Equal(a.Run, "MGET", value, nil, any(values[keys[i]]))
	}
}

func scan(a app) map[string]bool {
	seen := map[string]bool{}
	it := a.c.Scan(a.ctx, 0, a.Key("bulk:*"), 1000).Iterator()
	for it.Next(a.ctx) {
		seen[it.Val()] = true
	}
	if err := it.Err(); err != nil {
		a.Fail("SCAN: %w", err)
	}
	return seen
}

func largeValue(a app) {
	key, value := a.Key("large"), strings.Repeat(scenario.AllBytes(), 4096)
	status, err := a.c.Set(a.ctx, key, value, 0).Result()
	scenario.Equal(a.Run, "SET of 1 MiB", status, err, "OK")
	n, err := a.c.StrLen(a.ctx, key).Result()
	scenario.Equal(a.Run, "STRLEN", n, err, int64(len(value)))
	got, err := a.c.Get(a.ctx, key).Result()
	scenario.Equal(a.Run, "GET of 1 MiB", got, err, value)
	n, err = a.c.Del(a.ctx, key).Result()
	scenario.Equal(a.Run, "DEL", n, err, 1)
}
