package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// Exit statuses; the package comment explains them.
const (
	exitOK     = 0
	exitFailed = 1
	exitRefuse = 2
)

// A refusal is an error that says that this machine or command line cannot be measured with: status 2, one line.
type refusal struct{ text string }

func (r refusal) Error() string { return r.text }

func refusef(format string, args ...any) error { return refusal{fmt.Sprintf(format, args...)} }

func main() {
	// Children are started with Pdeathsig, which goes by the thread that forked them: one that the runtime ended would
	// take its servers with it. A locked thread stays, and may change its own CPU affinity for a fork.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	if err == nil {
		os.Exit(exitOK)
	}
	fmt.Fprintf(os.Stderr, "peers: %v\n", err)
	if _, ok := errors.AsType[refusal](err); ok {
		os.Exit(exitRefuse)
	}
	os.Exit(exitFailed)
}

// dispatch runs a subcommand, or the comparison itself if there is none.
func dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "echo":
			return serveCeiling(ctx, args[1:], echo)
		case "constant":
			return serveCeiling(ctx, args[1:], constant)
		case "load":
			return runLoad(ctx, args[1:], os.Stdout)
		case "threads":
			return runThreads(args[1:], os.Stdout)
		case "mux":
			return runMux(ctx, args[1:], os.Stdout)
		case "syncs":
			return runSyncs(args[1:], os.Stdout)
		}
	}
	cfg, err := parseConfig(args, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if cfg.list {
		listRows(os.Stdout)
		return nil
	}
	return compare(ctx, cfg, os.Stdout)
}

// parseConfig reads the flags of the comparison; help goes to w.
func parseConfig(args []string, w io.Writer) (config, error) {
	cfg := defaultConfig()
	fs := newFlagSet("peers")
	fs.StringVar(&cfg.nitrokv, "nitrokv", "", "the nitrokv binary (default: bin/nitrokv of this checkout)")
	fs.StringVar(&cfg.only, "only", "", "measure only the rows whose id begins with this (comma-separated)")
	fs.BoolVar(&cfg.quick, "quick", false, "a rehearsal: fewer keys and shorter rounds; not for the record")
	fs.StringVar(&cfg.out, "out", "", "also write the rows as Markdown to this file")
	fs.StringVar(&cfg.data, "data", "", "folder for the data of the rows dur-… (default: the temporary folder)")
	fs.IntVar(&cfg.rounds, "rounds", cfg.rounds, "alternating rounds of each row")
	fs.BoolVar(&cfg.list, "list", false, "list the rows and their limits")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(w)
		fs.Usage()
		return cfg, err
	} else if err != nil {
		return cfg, refusef("%v; -h lists the flags", err)
	}
	if fs.NArg() > 0 {
		return cfg, refusef("unexpected argument %q; rows are chosen with -only", fs.Arg(0))
	}
	if cfg.rounds < 1 {
		return cfg, refusef("-rounds %d: at least 1 round is needed", cfg.rounds)
	}
	if cfg.quick {
		cfg.shrink()
	}
	return cfg, nil
}

// newFlagSet returns a flag set that prints nothing by itself: an error is one line, of main.
func newFlagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = fs.PrintDefaults
	return fs
}
