package server

import (
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// serveLive is /livez: whoever gets an answer knows that the process runs, and nothing else. A server that loads its
// data, or cannot write any more, is alive: starting it again would not help.
func serveLive(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(rw, "ok\n") // the client has gone: nobody is left to be told
}

// What /readyz answers.
const (
	statusReady      = "ready"
	statusRecovering = "recovering"
	statusReadOnly   = "read-only"
	statusDegraded   = "degraded"
	statusShutDown   = "shutting down"
)

// readiness is the answer of /readyz: status 200 if everything can be read and written, else 503.
type readiness struct {
	Status   string    `json:"status"`
	Reason   string    `json:"reason,omitempty"`   // read-only: what has failed; degraded: what is damaged
	Progress *progress `json:"progress,omitempty"` // recovering
}

// progress is how much of the data folder has been read.
type progress struct {
	Done    uint64  `json:"done"`
	Total   uint64  `json:"total"` // bytes; 0: not known yet
	Percent float64 `json:"percent"`
}

// readiness looks at the server now.
func (s *Server) readiness() readiness {
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	reason := readOnlyReason(s.store.LogState(), s.store.LogError())
	switch {
	case closing:
		return readiness{Status: statusShutDown}
	case s.load.busy.Load():
		p := &progress{Done: s.load.done.Load(), Total: s.load.total.Load()}
		if p.Total > 0 {
			p.Percent = 100 * float64(min(p.Done, p.Total)) / float64(p.Total)
		}
		return readiness{Status: statusRecovering, Progress: p}
	case reason != "":
		return readiness{Status: statusReadOnly, Reason: reason}
	}
	if reason = s.damageReason(); reason != "" {
		return readiness{Status: statusDegraded, Reason: reason}
	}
	return readiness{Status: statusReady}
}

// readOnlyReason says why writes are refused; empty: they are not.
func readOnlyReason(state engine.LogState, err error) string {
	var reason string
	switch state {
	case engine.LogFull:
		reason = "the log cannot go on"
	case engine.LogFailed:
		reason = "the log has failed"
	default:
		return ""
	}
	if err != nil {
		reason += ": " + err.Error()
	}
	return reason
}

func (s *Server) serveReady(rw http.ResponseWriter, _ *http.Request) {
	r := s.readiness()
	code := http.StatusOK
	if r.Status != statusReady {
		code = http.StatusServiceUnavailable
	}
	writeJSON(rw, code, r)
}

// build is the answer of /version.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"` // if it was built in a checkout
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Format   int    `json:"format_version"`   // of the files in a data folder
	Protocol int    `json:"protocol_version"` // of the binary protocol
}

func thisBuild() build {
	b := build{Version: engine.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Format: engine.FormatVersion, Protocol: proto.Version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func serveVersion(rw http.ResponseWriter, _ *http.Request) { writeJSON(rw, http.StatusOK, thisBuild()) }

// writeJSON answers with a value that can be marshalled: only the client's going away can fail.
func writeJSON(rw http.ResponseWriter, code int, v any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(code)
	_ = json.NewEncoder(rw).Encode(v)
}
