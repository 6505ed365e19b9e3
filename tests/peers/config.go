package main

import (
	"os"
	"path/filepath"
	"time"
)

// config is what a run measures and how long.
type config struct {
	nitrokv string // path of the binary; empty: bin/nitrokv below root
	only    string
	quick   bool
	list    bool
	out     string
	data    string // where the servers of the rows about durability keep their data; empty: the run's folder

	rounds    int           // alternating rounds of a row
	attempts  int           // how often a row is measured again when Redis isn't steady
	duration  time.Duration // of one closed-loop load
	openLoop  time.Duration // of one open-loop load: a p99 needs more samples than a mean
	keys      int           // preloaded in the speed rows, and in the smaller memory rows
	manyKeys  int           // in the larger memory rows and in-process ones
	replay    int           // writes in the log that a start reads
	stream    int           // writes of streamValue bytes in one round
	idleConns int
	clients   int
	valueSize int
	spreadMax float64 // of Redis's samples, (max − min) / median, beyond which a row is thrown away
	stealMax  float64 // share of the processors' time that the hypervisor may take from a measurement (quiet.go)
	tries     int     // how often a measurement is made, at most, until it keeps to that
}

const keySize = 16 // bytes of "key:%012d"

func defaultConfig() config {
	return config{
		rounds:    5,
		attempts:  3,
		duration:  4 * time.Second,
		openLoop:  8 * time.Second,
		keys:      1_000_000,
		manyKeys:  10_000_000,
		replay:    5_000_000,
		stream:    300_000,
		idleConns: 10_000,
		clients:   50,
		valueSize: 64,
		spreadMax: 0.10,
		stealMax:  0.03,
		tries:     12,
	}
}

// shrink makes a run that only shows that everything works.
func (c *config) shrink() {
	c.rounds = min(c.rounds, 3)
	c.attempts = 1
	c.tries = 1
	c.duration = time.Second
	c.openLoop = 2 * time.Second
	c.keys = 200_000
	c.manyKeys = 1_000_000
	c.replay = 500_000
	c.stream = 50_000
	c.idleConns = 1_000
}

// findRoot returns the checkout that the working directory lies in: the nearest folder upwards that has the engine.
func findRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "engine", "nitro.h")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", refusef("no folder above %s holds engine/nitro.h; run this inside a checkout of nitrokv", start)
		}
	}
}
