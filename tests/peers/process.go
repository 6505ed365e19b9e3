package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	anyCPU    = -1               // not pinned
	stopLimit = 10 * time.Second // a server that doesn't end by SIGTERM within this gets SIGKILL
)

// A process is a child of this program, started by start and ended by stop.
type process struct {
	name string
	log  string // path of what it wrote to stdout and stderr
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of Wait, valid after done
}

// onCPU runs f with the calling thread pinned to cpu, so that a child forked by f inherits the pinning. The caller must
// be locked to its thread.
func onCPU(cpu int, f func() error) error {
	if cpu == anyCPU {
		return f()
	}
	var before, want unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the CPU affinity: %w", err)
	}
	want.Set(cpu)
	if err := unix.SchedSetaffinity(0, &want); err != nil {
		return fmt.Errorf("pin to CPU %d: %w", cpu, err)
	}
	return errors.Join(f(), unix.SchedSetaffinity(0, &before))
}

// start runs argv on the given CPU, its output in a file below dir.
func start(dir, name string, cpu int, argv ...string) (*process, error) {
	logFile, err := os.CreateTemp(dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	p := &process{name: name, log: logFile.Name(), done: make(chan struct{})}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	// If this program is killed, its servers must not stay behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := onCPU(cpu, p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s (%s): %w", name, argv[0], err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// ended says whether the process has ended on its own, with its last words.
func (p *process) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s (pid %d) has ended: %v: %s", p.name, p.pid(), p.err, p.lastWords())
	default:
		return nil
	}
}

// lastWords returns the end of the process's output.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprintf("(no output: %v)", err)
	}
	const most = 500
	text = bytes.TrimSpace(text)
	return string(text[max(0, len(text)-most):])
}

// stop ends the process and waits for it.
func (p *process) stop() {
	// An error means that it has ended already; the wait below finds that too.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopLimit):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// output runs argv on the given CPU to its end and returns its standard output; ctx's end kills it.
func output(ctx context.Context, dir string, cpu int, argv ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := onCPU(cpu, cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s %v: %w: %s", filepath.Base(argv[0]), argv[1:], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// twoCPUs picks the CPUs for the servers and for the load among those that this process may use.
func twoCPUs() (server, load int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0, 0, fmt.Errorf("read the CPU affinity: %w", err)
	}
	if set.Count() < 2 {
		return 0, 0, refusef("this process may use %d CPU; two are needed, one for the servers and one for the load", set.Count())
	}
	found := []int{}
	for cpu := 0; len(found) < 2; cpu++ {
		if set.IsSet(cpu) {
			found = append(found, cpu)
		}
	}
	return found[0], found[1], nil
}
