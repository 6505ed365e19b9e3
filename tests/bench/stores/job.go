package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// childWord is the first argument of a child; the second one is its job.
const childWord = "child"

// childTime is more than any measurement takes: a store that hangs is an error.
const childTime = 30 * time.Minute

// A job is one measurement, for a process of its own.
type job struct {
	Task       string
	Store      string // name of the contender
	Dir        string // its folder
	Keys       int
	ValueBytes int
	Goroutines int
	Duration   time.Duration // 0: until all keys are done
	Seed       uint64        // of random reads
	Sync       bool
	FileBytes  int64
	Rate       int // operations per second, where they are paced
	Procs      int // GOMAXPROCS; 0: as it is
}

// metrics are what a measurement gave, by name.
type metrics map[string]float64

// The names of tasks.
const (
	taskSet    = "set"
	taskFill   = "fill"
	taskGet    = "get"
	taskCold   = "cold"
	taskPread  = "pread"
	taskOpen   = "open"
	taskMerge  = "merge"
	taskMemory = "memory"
)

// task finds what a job asks for.
func task(name string) (func(job) (metrics, error), error) {
	switch name {
	case taskSet:
		return runSet, nil
	case taskFill:
		return runFill, nil
	case taskGet:
		return runGet, nil
	case taskCold:
		return runCold, nil
	case taskPread:
		return runPread, nil
	case taskOpen:
		return runOpen, nil
	case taskMerge:
		return runMerge, nil
	case taskMemory:
		return runMemory, nil
	}
	return nil, fmt.Errorf("no task is called %q", name)
}

// runChild does one job and prints its metrics.
func runChild(text string, w io.Writer) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("read the job %q: %w", text, err)
	}
	run, err := task(j.Task)
	if err != nil {
		return err
	}
	got, err := run(j)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", j.Task, j.Store, err)
	}
	return json.NewEncoder(w).Encode(got)
}

// start does a job in a child of this program, which dies with it.
func (j job) start(ctx context.Context) (metrics, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("write the job: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, childTime)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, self, childWord, string(text))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if j.Procs > 0 {
		cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", j.Procs))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("a child: %w: %s", err, lastLine(stderr.String()))
	}
	var got metrics
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		return nil, fmt.Errorf("%s of %s: read its metrics: %w", j.Task, j.Store, err)
	}
	return got, nil
}

// lastLine is the end of what a child said: its error, or the last line of a panic.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// open opens the job's store.
func (j job) open() (store, error) {
	c, err := named(j.Store)
	if err != nil {
		return nil, err
	}
	return c.open(j.Dir, openOptions{sets: j.Task == taskSet, sync: j.Sync, merges: j.Task == taskMerge, cached: j.Task == taskGet,
		writers: j.Goroutines, fileBytes: j.FileBytes})
}

// with opens the job's store for a function, and closes it.
func (j job) with(use func(store) error) (err error) {
	s, err := j.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return use(s)
}
