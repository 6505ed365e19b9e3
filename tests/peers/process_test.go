package main

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestProcessStopEndsIt(t *testing.T) {
	p, err := start(t.TempDir(), "sleeper", anyCPU, "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.ended(); err != nil {
		t.Fatal(err)
	}
	p.stop()
	if err := syscall.Kill(p.pid(), 0); err != syscall.ESRCH {
		t.Errorf("signalling the stopped process gave %v, want no such process", err)
	}
}

func TestProcessThatEndsSaysWhy(t *testing.T) {
	p, err := start(t.TempDir(), "broken", anyCPU, "sh", "-c", "echo no port for me; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.stop()
		t.Fatal("the process did not end")
	}
	err = p.ended()
	if err == nil || !strings.Contains(err.Error(), "no port for me") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("ended() = %v", err)
	}
}

func TestStartOfNothing(t *testing.T) {
	if _, err := start(t.TempDir(), "nothing", anyCPU, "/nonexistent/program"); err == nil {
		t.Error("a program that isn't there was started")
	}
}

func TestOutput(t *testing.T) {
	got, err := output(t.Context(), t.TempDir(), anyCPU, "sh", "-c", "echo 12; echo complaint >&2")
	if err != nil || string(got) != "12\n" {
		t.Errorf("output = %q, %v", got, err)
	}
	_, err = output(t.Context(), t.TempDir(), anyCPU, "sh", "-c", "echo complaint >&2; exit 1")
	if err == nil || !strings.Contains(err.Error(), "complaint") {
		t.Errorf("a failing program gave %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = output(ctx, t.TempDir(), anyCPU, "sleep", "600"); err == nil {
		t.Error("a cancelled program gave no error")
	}
}
