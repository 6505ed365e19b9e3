package main

import (
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/server"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "1B": 1, "64KiB": 64 << 10, "512MiB": 512 << 20, "2GiB": 2 << 30, "10KB": 10_000, "10 MB": 10_000_000,
		"3GB": 3_000_000_000, "1.5GiB": 3 << 29, "1kib": 1 << 10, "0.5 KB": 500, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "B", "-1", "+1", "1TB", "1K", "1 Ki B", "KiB1", "1e3", "0x10", "inf", "nan", "1..5KB", ".", "9223372036854775808", "9999999999GiB", "1MiB!",
	} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is taken for %d bytes", text, got)
		}
	}
}

func TestParsersRefuse(t *testing.T) {
	var n int
	var n64 int64
	var f float64
	var d time.Duration
	var b bool
	var s string
	for name, test := range map[string]struct {
		set       func(string) error
		good, bad []string
	}{
		"int":      {intTo(&n, 1, 10), []string{"1", "10"}, []string{"0", "11", "", "x", "1.5"}},
		"count":    {countTo(&n64), []string{"0", "1000000000000"}, []string{"-1", "", "1k"}},
		"float":    {floatTo(&f), []string{"0", "0.5", "1e3", "-1"}, []string{"", "x", "NaN", "Inf"}},
		"duration": {durationTo(&d), []string{"0s", "1m30s"}, []string{"", "5", "-1s"}},
		"positive": {positive(durationTo(&d), &d), []string{"1ms"}, []string{"0s", "x"}},
		"bool":     {boolTo(&b), []string{"true", "false", "1"}, []string{"", "yes"}},
		"word":     {wordTo(&s, "text", "json"), []string{"text", "JSON"}, []string{"", "xml"}},
		"power":    {powerTo(&n, 1<<16), []string{"1", "256", "65536"}, []string{"0", "3", "131072", "x", "-2"}},
		"memory":   {maxMemoryTo(&n64), []string{"auto", "off", "0", "1GiB"}, []string{"", "lots"}},
		"procs":    {procsTo(&n), []string{"auto", "4"}, []string{"0", "x"}},
		"dir":      {dirTo(&s), []string{"d", "/", "my data"}, []string{""}},
		"sync": {syncTo(new(engine.Level), &d), []string{"always", "EverySec", "never", "interval=10ms", "Interval=1m"},
			[]string{"", "often", "default", "interval", "interval=", "interval=9ms", "interval=61s", "interval=5", "200ms"}},
		"log size": {fileSizeTo(&n64, 1<<40, "…"), []string{"64KiB", "1024GiB", "64MiB"}, []string{"", "65535", "1025GiB", "big"}},
		"mode":     {modeTo(new(engine.Mode)), []string{"memory", "BITCASK"}, []string{"", "default", "lsm"}},
		"merge":    {mergeTo(&b), []string{"auto", "OFF"}, []string{"", "on", "true"}},
		"off or":   {offOr(sizeTo(&n64), &n64), []string{"off", "0", "1MiB"}, []string{"", "much"}},
		"window": {windowTo(&d, &d), []string{"always", "02:00-05:30", "23:00-1:00", "22:00-24:00"},
			[]string{"", "02:00", "02:00-", "2-5", "25:00-01:00", "02:60-03:00", "02:00-02:00", "00:00-24:00", "02:00-03:00-04:00"}},
		"policy":  {policyTo(new(server.IOErrorPolicy)), []string{"exit", "ReadOnly"}, []string{"", "retry"}},
		"address": {appendTo(new([]string)), []string{":1", "[::1]:6379", "localhost:0"}, []string{"", "host", "host:x", "h:65536", "h:-1"}},
		"range":   {rangeTo(&n, &n), []string{"0", "16-512", "1KiB-2KiB"}, []string{"", "-5", "5-1", "1-2-3", "9MiB"}},
	} {
		for _, text := range test.good {
			if err := test.set(text); err != nil {
				t.Errorf("%s: %q is refused: %v", name, text, err)
			}
		}
		for _, text := range test.bad {
			if test.set(text) == nil {
				t.Errorf("%s: %q is accepted", name, text)
			}
		}
	}
}

func TestMaxMemoryMeansWhatServerOptionsMean(t *testing.T) {
	for text, want := range map[string]int64{"auto": 0, "off": -1, "0": -1, "1MiB": 1 << 20} {
		got := int64(7)
		if err := maxMemoryTo(&got)(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
}
