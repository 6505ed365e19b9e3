package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// Exit statuses; the package comment explains them.
const (
	exitFailed = 1
	exitRefuse = 2
)

// A refusal is an error that says that this machine or command line cannot be measured with: status 2, one line.
type refusal struct{ text string }

func (r refusal) Error() string { return r.text }

func refusef(format string, args ...any) error { return refusal{fmt.Sprintf(format, args...)} }

func main() {
	if args := os.Args[1:]; len(args) == 2 && args[0] == childWord {
		exit(runChild(args[1], os.Stdout)) // before signals are caught: a child ends at once
	}
	// Children are started with Pdeathsig, which goes by the thread that forked them: it must not end before them.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	exit(err)
}

// exit ends the program with the status of an error, or of none.
func exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintf(os.Stderr, "stores: %v\n", err)
	if _, ok := errors.AsType[refusal](err); ok {
		os.Exit(exitRefuse)
	}
	os.Exit(exitFailed)
}

// dispatch runs the comparison, or what else the flags ask for.
func dispatch(ctx context.Context, args []string) error {
	cfg, err := parseConfig(args, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if cfg.list {
		return list(os.Stdout)
	}
	return compare(ctx, cfg, os.Stdout)
}
