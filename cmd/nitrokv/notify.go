package main

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

const (
	// notifyEvery is how often the progress of loading is told.
	notifyEvery = time.Second
	// loadPatience is how long loading may show no progress before a service manager that limits the time of a start
	// ends the server. The first reading of the log shows none, and what follows the last is one long sync.
	loadPatience = 15 * time.Minute
	// stopPatience is what a stop may take beyond --shutdown-timeout: the last write and sync of the log.
	stopPatience = time.Minute
)

// A notifier tells the service manager how the server is doing, by the protocol of sd_notify: systemd shows the status,
// starts what depends on the server when it is ready, and doesn't give up on a start or a stop that goes on. Without
// NOTIFY_SOCKET it does nothing. Its methods may be called from any goroutine.
//
// There are no watchdog messages: a timer that sends them would only prove that timers run.
type notifier struct {
	log *slog.Logger

	mu       sync.Mutex // guards the fields below; held while sending, so that messages arrive in order
	told     time.Time  // when progress was told last
	done     uint64     // and how much had been loaded
	stopping bool       // nothing else is told any more
	failed   bool       // it has been logged that the manager can't be told
}

// start tells that loading begins.
func (n *notifier) start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.send("STATUS=loading", extend(loadPatience))
}

// progress tells how much has been loaded.
func (n *notifier) progress(done, total uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if done == n.done || total == 0 || now.Sub(n.told) < notifyEvery {
		return // without news the manager's patience may end
	}
	n.told, n.done = now, done
	n.send(fmt.Sprintf("STATUS=loading, %d %% of %s", 100*min(done, total)/total, sizeText(total)), extend(loadPatience))
}

// ready tells that requests are served.
func (n *notifier) ready() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.send(daemon.SdNotifyReady, "STATUS=serving")
}

// stop tells that the server is ending, within the limit.
func (n *notifier) stop(limit time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.send(daemon.SdNotifyStopping, "STATUS=stopping", extend(limit+stopPatience))
	n.stopping = true
}

// extend asks for that much time from now on.
func extend(d time.Duration) string { return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()) }

// send is called with mu held. A manager that can't be told is no reason to stop serving.
func (n *notifier) send(lines ...string) {
	if n.stopping {
		return
	}
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil && !n.failed {
		n.failed = true
		n.log.Warn("the service manager can't be told how the server is doing", "error", err)
	}
}
