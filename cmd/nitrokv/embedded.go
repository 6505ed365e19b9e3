package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/server"
)

// Commands without a server
//
// With --dir a command opens the data folder itself: it runs a server in its own process that has no port, and talks to
// that one. So every command, its replies and its errors are the same as over a network, and a change is on disk when the
// command reports it. The folder's lock keeps servers and other commands out meanwhile. A command that is killed leaves
// what a killed server leaves.

// A target is what a command talks to: a server, or a data folder that it has opened itself.
type target struct {
	name     string // for people
	addr     string // for clients
	password string
	dial     func(ctx context.Context, network, addr string) (net.Conn, error) // nil: over the network
	close    func() error
}

// open finds the target. The password of a server is none of a folder's.
func (c *kvConfig) open(ctx context.Context, t terminal) (*target, error) {
	if c.dir != "" {
		return c.openFolder(ctx, t)
	}
	if c.mode != engine.ModeDefault {
		return nil, usage("--mode is about a folder, which is opened with --dir; a server has chosen its mode itself: drop it")
	}
	password, err := c.readPassword(t)
	return &target{name: c.addr, addr: c.addr, password: password, close: func() error { return nil }}, err
}

// openFolder opens a data folder, and waits until its contents are loaded.
func (c *kvConfig) openFolder(ctx context.Context, t terminal) (*target, error) {
	if err := c.findStore(); err != nil {
		return nil, err
	}
	f := &folder{ready: make(chan struct{}), ended: make(chan error, 1), bytes: newReading("loading")}
	defer newStatusLine(t.stderr).show(f.bytes.text)()
	err := f.open(c.dir, c.mode, t.stderr)
	if err == nil {
		err = f.load(ctx)
	}
	if err != nil {
		return nil, c.explainFolder(err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return f.srv.Dial(ctx) }
	return &target{name: c.dir, addr: "this-process:0", dial: dial, close: f.close}, nil
}

// findStore refuses a folder without a store: a misspelled name must not make a new one. It may be made where it is to be
// filled.
func (c *kvConfig) findStore() error {
	_, err := os.Stat(filepath.Join(c.dir, "MANIFEST"))
	switch {
	case err == nil, errors.Is(err, os.ErrNotExist) && c.creates:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("--dir: there is no store in %s; name another folder, or make one there: nitrokv serve --dir %s", c.dir, shellWord(c.dir))
	}
	return fmt.Errorf("--dir: %w", err)
}

// explainFolder adds to an error about the folder what can be typed next.
func (c *kvConfig) explainFolder(err error) error {
	if errors.Is(err, engine.ErrInUse) {
		err = fmt.Errorf("%w; if it is a server, ask it with --addr in place of --dir", withoutCode(err))
	} else {
		err = (&dataConfig{dir: c.dir}).explain(err)
	}
	for _, layer := range []string{"server: ", "the store cannot be opened: ", "engine: open: "} {
		err = trimPrefix(err, layer)
	}
	return err
}

// folder is the server inside of a command.
type folder struct {
	srv   *server.Server
	ready chan struct{} // closed when the data is loaded
	ended chan error    // gets what Serve has returned
	bytes *reading
}

// keepAll keeps everything that the server to whom the folder belongs may want to keep, whose settings aren't known here.
const keepAll = math.MaxInt64

// open makes the server. What has to be said to it depends on the mode; if that is whatever the folder has, it is tried out.
func (f *folder) open(dir string, mode engine.Mode, stderr io.Writer) (err error) {
	if mode != engine.ModeDefault {
		f.srv, err = server.New(f.options(dir, mode, stderr))
		return err
	}
	f.srv, err = server.New(f.options(dir, engine.ModeMemory, stderr))
	if !errors.Is(err, engine.ErrFormat) {
		return err
	}
	srv, again := server.New(f.options(dir, engine.ModeBitcask, stderr))
	if errors.Is(again, engine.ErrFormat) {
		return err // it is not the mode that is wrong
	}
	f.srv = srv
	return again
}

// options are those of a server for one command: nothing happens in the folder that the command doesn't do.
func (f *folder) options(dir string, mode engine.Mode, stderr io.Writer) server.Options {
	opt := server.Options{
		Local:            true,
		MaxClients:       runtime.GOMAXPROCS(0) + 16,
		Dir:              dir,
		Mode:             mode,
		OnIOError:        server.IOErrorReadOnly,
		SnapshotLogBytes: -1,
		RetainFor:        keepAll,
		Merge:            engine.MergeOptions{Off: true},
		Logger:           slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Ready:            func() { close(f.ready) },
		Progress:         f.bytes.progress,
	}
	if mode == engine.ModeBitcask && !keepsPast(dir) { // a merge that is asked for is to give room back
		opt.RetainFor = 0
	}
	return opt
}

// keepsPast reports whether a folder of mode bitcask holds files that are there for restores alone.
func keepsPast(dir string) bool {
	entries, err := os.ReadDir(filepath.Join(dir, "retained"))
	return err == nil && len(entries) > 0
}

// load serves, and waits until the data is there. After an error the folder has been closed.
func (f *folder) load(ctx context.Context) error {
	if err := f.srv.Listen(); err != nil {
		return err
	}
	go func() { f.ended <- f.srv.Serve() }()
	var err error
	select {
	case <-f.ready:
		return nil
	case err = <-f.ended:
		f.ended <- nil
	case <-ctx.Done():
		// Loading is not waited for: the end of the process may cut it off.
		_ = f.srv.Shutdown(ctx) // says the same
		return errors.New("interrupted while the data was being loaded; nothing is lost")
	}
	_ = f.close() // the first error is the one to report
	return err
}

// close stops the server cleanly.
func (f *folder) close() error {
	err := f.srv.Shutdown(context.Background())
	return errors.Join(err, <-f.ended)
}
