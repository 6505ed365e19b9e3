package main

import (
	"slices"
	"strings"

	"github.com/redis/rueidis"

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
		n, err := a.number(a.c.B().Unlink().Key(batch...).Build())
		scenario.Equal(a.Run, "UNLINK", n, err, scenario.Batch)
	}
	n, err := a.number(a.c.B().Unlink().Key(keys[:scenario.Batch]...).Build())
	scenario.Equal(a.Run, "UNLINK again", n, err, 0)
	scenario.Equal(a.Run, "keys found by SCAN afterwards", len(scan(a)), nil, 0)
	largeValue(a)
}

// load writes half of the keys by SETs in one pipeline, the other half by MSETs in another.
func load(a app, keys []string, values map[string]string) {
	var sets, msets rueidis.Commands
	for _, key := range keys[:scenario.Bulk] {
		sets = append(sets, a.c.B().Set().Key(key).Value(values[key]).Build())
	}
	for batch := range slices.Chunk(keys[scenario.Bulk:], scenario.Batch) {
		mset := a.c.B().Mset().KeyValue()
		for _, key := range batch {
			mset = mset.KeyValue(key, values[key])
		}
		msets = append(msets, mset.Build())
	}
	for _, pipeline := range []rueidis.Commands{sets, msets} {
		for _, reply := range a.c.DoMulti(a.ctx, pipeline...) {
			status, err := reply.ToString()
			scenario.Equal(a.Run, "a write in a pipeline", status, err, "OK")
		}
	}
}

func compare(a app, keys []string, values map[string]string) {
	got, err := a.c.Do(a.ctx, a.c.B().Mget().Key(keys...).Build()).ToArray()
	scenario.Equal(a.Run, "values from MGET", len(got), err, len(keys))
	for i, m := range got {
		value, err := m.ToString()
		scenario.Equal(a.Run, "MGET", value, err, values[keys[i]])
	}
}

func scan(a app) map[string]bool {
	seen := map[string]bool{}
	for cursor := uint64(0); ; {
		e, err := a.c.Do(a.ctx, a.c.B().Scan().Cursor(cursor).Match(a.Key("bulk:*")).Count(1000).Build()).AsScanEntry()
		if err != nil {
			a.Fail("SCAN: %w", err)
			return seen
		}
		for _, key := range e.Elements {
			seen[key] = true
		}
		if cursor = e.Cursor; cursor == 0 {
			return seen
		}
	}
}

func largeValue(a app) {
	key, value := a.Key("large"), strings.Repeat(scenario.AllBytes(), 4096)
	got, err := a.text(a.c.B().Set().Key(key).Value(value).Build())
	scenario.Equal(a.Run, "SET of 1 MiB", got, err, "OK")
	n, err := a.number(a.c.B().Strlen().Key(key).Build())
	scenario.Equal(a.Run, "STRLEN", n, err, int64(len(value)))
	got, err = a.text(a.c.B().Get().Key(key).Build())
	scenario.Equal(a.Run, "GET of 1 MiB", got, err, value)
	n, err = a.number(a.c.B().Del().Key(key).Build())
	scenario.Equal(a.Run, "DEL", n, err, 1)
}
