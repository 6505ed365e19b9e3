package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// The store's life beside the connections
//
// New opens the store: the folder is locked, so that nobody else has it, and looked at. Listen opens the ports. Serve
// starts the loader, which recovers the data while connections are accepted already: requests for data are answered
// LOADING until it is done, by the engine, or here if they run in Go; PING, HELLO, AUTH, CLIENT, CONFIG, COMMAND and INFO
// work. So a client that comes early learns what is the matter, and how far it is.
//
// When the log fails, the engine answers what it must; logFailed decides whether the process ends.

// ErrLogFailed is what Serve returns when a write to the log, or its sync, has failed and Options.OnIOError is
// IOErrorExit.
var ErrLogFailed = errors.New("server: the log has failed")

// loader is the state of loading, for INFO.
type loader struct {
	busy        atomic.Bool
	began       atomic.Int64  // Unix seconds
	done, total atomic.Uint64 // bytes of snapshot and log
	last        time.Time     // when the progress was logged last; the loader's
	hold        chan struct{} // for tests: loading waits until it is closed; nil: it doesn't
}

// progressLogEvery is how often the log tells how far loading is.
const progressLogEvery = time.Second

// openStore opens the store, which is loaded later.
func (s *Server) openStore(maxMemory int64) (err error) {
	s.load.busy.Store(s.hasFolder())
	s.load.began.Store(time.Now().Unix())
	s.store, err = engine.Open(engine.Options{
		Segments:     s.opt.Segments,
		MaxMemory:    maxMemory,
		MaxValue:     s.opt.MaxValue,
		MaxArgs:      s.opt.MaxArgs,
		Dir:          s.opt.Dir,
		Mode:         s.opt.Mode,
		LogFileBytes: s.opt.LogFileBytes,
		MaxFileBytes: s.opt.MaxFileBytes,
		CacheBytes:   s.opt.CacheBytes,
		MapFiles:     s.opt.MapFiles,
		Merge:        s.opt.Merge,
		Level:        engine.LevelNever, // of FLUSHALL, whose reply then waits like any other
		SyncInterval: s.opt.SyncInterval,
		Loading:      s.hasFolder(),
		OnLogFailure: s.logFailed,
		Logger:       s.opt.Logger,

		ValueCompression: s.opt.ValueCompression,
		WALOff:           s.opt.WALOff,
		Compression:      s.opt.Compression,
		SaveInterval:     s.opt.SaveInterval,
		SnapshotLogBytes: s.opt.SnapshotLogBytes,
		RetainFor:        s.opt.RetainFor,
		RetainBytes:      s.opt.RetainBytes,
	})
	return err
}

// loadStore recovers the store; if that fails, the server ends.
func (s *Server) loadStore() {
	if s.load.hold != nil {
		<-s.load.hold
	}
	s.load.last = time.Now()
	r, err := s.store.Recover(s.progress)
	if errors.Is(err, engine.ErrClosed) {
		s.log.Info("loading ends before it is complete: the server is shutting down")
		return
	}
	if err != nil {
		s.abort(fmt.Errorf("server: the data in %s cannot be loaded: %w", s.opt.Dir, err))
		return
	}
	s.load.busy.Store(false)
	s.reportRecovery(r)
	s.opt.Ready()
}

// progress notes how far loading is, and passes it on.
func (s *Server) progress(done, total uint64) {
	s.load.done.Store(done)
	s.load.total.Store(total)
	if s.opt.Progress != nil {
		s.opt.Progress(done, total)
	}
	if now := time.Now(); now.Sub(s.load.last) >= progressLogEvery {
		s.load.last = now
		s.log.Info("loading", "read_bytes", done, "of_bytes", total)
	}
}

// reportRecovery logs what was found in the folder.
func (s *Server) reportRecovery(r engine.Recovery) {
	sync, mode := s.syncSetting(), s.Mode().String()
	if s.opt.WALOff {
		sync = "off"
		s.log.Warn("there is no log (--wal off)", "a_crash_takes", s.crashLoss())
	}
	if r.Created {
		s.log.Info("data folder created", "dir", s.opt.Dir, "mode", mode, "sync", sync)
		return
	}
	s.log.Info("data loaded", "dir", s.opt.Dir, "mode", mode, "sync", sync, "keys", r.Keys, "files", r.Files,
		"bytes", r.Bytes, "took", r.Took.Round(time.Millisecond).String(), "last_lsn", r.LastLSN, "clean_stop", r.Clean)
	if r.SnapshotLSN > 0 {
		s.log.Info("a snapshot was loaded before the log", "lsn", r.SnapshotLSN, "keys", r.SnapshotKeys,
			"bytes", r.SnapshotBytes)
	}
	if r.TailRecords > 0 {
		s.log.Info("records after the last sync that is known of were kept: they are on disk now",
			"records", r.TailRecords, "after_lsn", r.DurableLSN)
	}
	if r.CutBytes > 0 {
		s.log.Warn("the log ended in bytes that were never acknowledged as durable; they were cut off",
			"bytes", r.CutBytes, "file", r.CutFile, "offset", r.CutOffset)
	}
}

// logFailed is called once, when a write to the log or its sync has failed.
func (s *Server) logFailed(cause error) {
	if s.opt.OnIOError == IOErrorReadOnly {
		s.log.Error("the log has failed: writes are refused until a restart, durable data can be read",
			"dir", s.opt.Dir, "error", cause)
		return
	}
	s.log.Error("the log has failed: the server ends", "dir", s.opt.Dir, "error", cause)
	s.abort(fmt.Errorf("%w: %w", ErrLogFailed, cause))
}

// closeStore stops the store cleanly and waits for the workers. Loading can't be hurried: it is waited for until ctx
// ends. What it does to the folder may be cut off at any time.
func (s *Server) closeStore(ctx context.Context) error {
	if !s.load.busy.Load() {
		s.workers.Wait()
		return s.stopStore()
	}
	done := make(chan error, 1)
	go func() {
		err := s.stopStore() // ends the loader at its next step
		s.workers.Wait()
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("server: the data was still being loaded; nothing of it is lost: %w", context.Cause(ctx))
	}
}

func (s *Server) stopStore() error {
	if err := s.store.Close(); err != nil {
		return fmt.Errorf("server: the store was not stopped cleanly: %w", err)
	}
	return nil
}
