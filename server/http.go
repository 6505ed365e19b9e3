package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

// The HTTP listener
//
// It has a port of its own, which tells how the server is (health.go) and what it has done (metrics.go), and never what it
// holds: there is no data behind it, no request changes anything, and none needs a password. It opens with the data port
// and closes last, so that it can tell that the data is being loaded, and that the server is shutting down.
//
// A web page must not learn anything either. A page can make its reader's browser ask any address, but it sees the answer
// only if that comes from the page's own host; so an attacker lets his own name point to 127.0.0.1 once the page is
// loaded (DNS rebinding). The browser then sends the attacker's name as Host, and is refused for it. A name without a dot
// is none that he could own: "localhost", or that of a machine or a container beside this one.

// Limits of the listener. Requests are a line and a few headers, answers are small; a scraper keeps one connection.
const (
	httpConns       = 64
	httpHeaderBytes = 8 << 10
	httpReadLimit   = 10 * time.Second
	httpWriteLimit  = 30 * time.Second
	httpIdleLimit   = 60 * time.Second
	httpStopLimit   = time.Second
	httpHeaderSlack = 4 << 10 // what net/http reads beyond MaxHeaderBytes
)

// web is the HTTP listener; nil: there is none.
type web struct {
	host string // of Options.HTTP
	l    net.Listener
	srv  *http.Server
	done sync.WaitGroup

	mu     sync.RWMutex // held shared while metrics are gathered; guards closed
	closed bool         // the store is, or is about to be
}

// checkHTTP refuses an address that Listen would refuse, before anything is opened.
func checkHTTP(opt Options) error {
	if opt.HTTP == "" {
		return nil
	}
	_, err := resolve(opt.HTTP, opt.InsecureNoAuth || opt.Password != "")
	return describeHTTP(err)
}

func describeHTTP(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w (this is about --http; \"--http off\" does without)", err)
}

// listenHTTP binds Options.HTTP; mu is held. Without an address, and with a busy one that nobody has asked for, there is
// no listener.
func (s *Server) listenHTTP() error {
	if s.opt.HTTP == "" || s.local != nil {
		return nil
	}
	addr, err := resolve(s.opt.HTTP, s.opt.InsecureNoAuth || s.auth.required)
	if err != nil {
		return describeHTTP(err)
	}
	l, err := listenOne(addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && s.opt.HTTPOptional:
		s.log.Warn("no HTTP listener: somebody else has its address; choose another with --http, or --http off",
			"addr", s.opt.HTTP, "there", whoAnswers(addr))
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("server: cannot listen on %s for HTTP: %w: %s answers there; choose another address with --http, "+
			"or --http off", s.opt.HTTP, err, whoAnswers(addr))
	case err != nil:
		return fmt.Errorf("server: cannot listen on %s for HTTP: %w; choose another address with --http, or --http off",
			s.opt.HTTP, err)
	}
	s.web = s.newWeb(l)
	s.log.Info("serving HTTP", "addr", l.Addr().String())
	return nil
}

func (s *Server) newWeb(l net.Listener) *web {
	w := &web{l: netutil.LimitListener(l, httpConns)}
	w.host, _, _ = net.SplitHostPort(s.opt.HTTP) // it has been resolved
	pages := map[string]http.Handler{
		"/livez":   http.HandlerFunc(serveLive),
		"/readyz":  http.HandlerFunc(s.serveReady),
		"/version": http.HandlerFunc(serveVersion),
		"/metrics": w.whileOpen(newMetricsHandler(s, w)),
	}
	w.srv = &http.Server{
		Handler:                      w.guard(pages),
		ReadTimeout:                  httpReadLimit,
		WriteTimeout:                 httpWriteLimit,
		IdleTimeout:                  httpIdleLimit,
		MaxHeaderBytes:               httpHeaderBytes - httpHeaderSlack,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return w
}

// HTTPAddr is where the HTTP listener listens; nil if there is none.
func (s *Server) HTTPAddr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.web == nil {
		return nil
	}
	return s.web.l.Addr()
}

// start serves until stop. An error ends HTTP alone: the data port goes on.
func (w *web) start(log *slog.Logger) {
	if w == nil {
		return
	}
	w.done.Go(func() {
		if err := w.srv.Serve(w.l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the HTTP listener has ended", "addr", w.l.Addr().String(), "error", err)
		}
	})
}

// leaveStore lets nobody look at the store any more: it is about to be closed.
func (w *web) leaveStore() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

// stop ends the listener. Who has not got his answer in a moment is cut: by now he would learn that the server stops.
func (w *web) stop(log *slog.Logger) {
	if w == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), httpStopLimit)
	defer cancel()
	err := w.srv.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, w.srv.Close())
	}
	// Shutdown knows the listener from Serve; one that never served is closed here, another one has been closed.
	if e := w.l.Close(); !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	w.done.Wait()
	if err != nil {
		log.Info("the HTTP listener was not stopped in order", "error", err)
	}
}

// whileOpen answers 503 in place of h once the store is closed.
func (w *web) whileOpen(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !w.peek(func() {}) {
			http.Error(rw, "the server is shutting down", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(rw, r)
	})
}

// peek calls f unless the store is closed, which waits for f. f must not wait for a client.
func (w *web) peek(f func()) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if !w.closed {
		f()
	}
	return !w.closed
}

// guard refuses what is not a look at one of the pages by somebody who means this server.
func (w *web) guard(pages map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Cache-Control", "no-store")
		rw.Header().Set("X-Content-Type-Options", "nosniff")
		page := pages[r.URL.Path]
		switch {
		case !w.means(r.Host):
			http.Error(rw, fmt.Sprintf("the host %q is not this server's: ask for it by its IP address, by a name "+
				"without a dot, or by the one in --http (this protects it from web pages)", cutName(r.Host)), http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			rw.Header().Set("Allow", "GET, HEAD")
			http.Error(rw, "only GET and HEAD are served here", http.StatusMethodNotAllowed)
		case page == nil:
			http.Error(rw, "there is nothing here; try /livez, /readyz, /version or /metrics", http.StatusNotFound)
		default:
			page.ServeHTTP(rw, r)
		}
	})
}

// means reports whether a request's Host is one that only somebody who means this server would send. A request
// without one is HTTP/1.0: no browser sends it.
func (w *web) means(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	host = strings.TrimSuffix(host, ".")
	return !strings.Contains(host, ".") || strings.EqualFold(host, w.host)
}

// cutName is as much of a name as an answer repeats.
func cutName(name string) string { return name[:min(len(name), quoteMax)] }
