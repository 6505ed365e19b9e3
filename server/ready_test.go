package server

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// Ready is called once: at once without a log, with one when the data is loaded.
func TestReady(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "log": filepath.Join(t.TempDir(), "data")} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			var s *Server
			calls := make(chan bool, 10) // whether data was being loaded then
			s, err := New(Options{Listen: []string{"127.0.0.1:0"}, Segments: 4, Dir: dir, Ready: func() { calls <- s.load.busy.Load() }})
			if err != nil {
				t.Fatal(err)
			}
			s.load.hold = make(chan struct{})
			if err := s.Listen(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- s.Serve() }()
			if len(calls) > 0 && dir != "" {
				t.Error("ready before anything was loaded")
			}
			close(s.load.hold)
			select {
			case busy := <-calls:
				if busy {
					t.Error("ready while data is being loaded")
				}
			case <-ctx.Done():
				t.Error("never ready")
			}
			if err := s.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if len(calls) > 0 {
				t.Error("ready more than once")
			}
		})
	}
}
