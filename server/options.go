package server

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// Defaults that a zero field of Options stands for.
const (
	DefaultListen       = "127.0.0.1:6379"
	DefaultMaxClients   = 10000
	DefaultWriteTimeout = 30 * time.Second
	DefaultKeepAlive    = 300 * time.Second
	DefaultMaxValue     = 512 << 20
	DefaultMaxArgs      = 1 << 20
	DefaultSegments     = 256
	DefaultLogFileBytes = 64 << 20
	DefaultMaxFileBytes = 1 << 30
	DefaultSaveInterval = 60 * time.Second

	DefaultSlowlogMicros = 10_000
	DefaultSlowlogLen    = 128
)

// DefaultHTTP is the address that "nitrokv serve" gives to Options.HTTP.
const DefaultHTTP = "127.0.0.1:8379"

// What Options.SlowlogMicros may be besides a limit.
const (
	SlowlogNone = -1 // no request is kept
	SlowlogAll  = -2 // every request is
)

// PasswordMax is the longest password in bytes: far less than a client may send before it has given it.
const PasswordMax = 512

// IOErrorPolicy is what the server does when a write to the log, or its sync, has failed. Such a failure is final: the
// kernel may have dropped the data, so nothing is tried again on that log.
type IOErrorPolicy uint8

// The policies.
const (
	// IOErrorExit ends Serve with ErrLogFailed, as soon as the waiting clients have got their errors, at the latest
	// after a second: a supervisor can start the process again, and recovery then tells what is there.
	IOErrorExit IOErrorPolicy = iota
	// IOErrorReadOnly goes on with reads of durable data. Writes, and reads that would show what never became durable,
	// get errors until a restart.
	IOErrorReadOnly
)

// ParseIOErrorPolicy reads "exit" or "readonly".
func ParseIOErrorPolicy(s string) (IOErrorPolicy, error) {
	for _, p := range []IOErrorPolicy{IOErrorExit, IOErrorReadOnly} {
		if strings.EqualFold(s, p.String()) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("server: %q is no policy for a failed log; use exit or readonly", s)
}

// String is the word that ParseIOErrorPolicy reads.
func (p IOErrorPolicy) String() string {
	if p == IOErrorReadOnly {
		return "readonly"
	}
	return "exit"
}

// Options configures a Server. The zero value is a safe server: loopback only, port 6379, every limit on.
type Options struct {
	// Listen lists the addresses to serve on, each as host:port; port 0 takes a free one, an empty host means every
	// interface. Empty: DefaultListen. An address that others than this machine can reach is refused without a Password,
	// unless InsecureNoAuth is set.
	Listen []string

	// Local opens no port, whatever Listen says: the server is reached through Dial alone, from its own process.
	Local bool

	// HTTP is the address, as host:port, at which the server tells how it is: /livez, /readyz, /version and /metrics. Empty
	// or "off": it doesn't. What is told there asks for no password, so an address that other machines can reach is
	// refused under the same conditions as one of Listen.
	HTTP string

	// HTTPOptional lets the server start without HTTP, with a warning, when somebody else has that address: for a default
	// that nobody has asked for.
	HTTPOptional bool

	// SlowlogMicros is how many microseconds a request must run to be kept for SLOWLOG. 0: DefaultSlowlogMicros;
	// SlowlogNone and SlowlogAll mean what they say.
	SlowlogMicros int64

	// SlowlogLen is how many of them are kept, at most 100,000. 0: DefaultSlowlogLen; negative: none.
	SlowlogLen int

	// Password is what clients must give (AUTH, HELLO) before anything else, at most PasswordMax bytes; the user's name is
	// "default". It crosses the network as it is. Empty: nobody is asked.
	Password Secret

	// InsecureNoAuth allows addresses that other machines can reach although nobody has to give a password.
	// Dangerous: whoever reaches the port can read, change and delete everything.
	InsecureNoAuth bool

	// MaxClients is the number of connections served at once; one more gets an error reply and is closed. Each takes a
	// file descriptor, so the process's limit (RLIMIT_NOFILE) is raised at the start as far as it may. 0:
	// DefaultMaxClients.
	MaxClients int

	// IdleTimeout closes a connection that has sent nothing for that long. 0: never.
	IdleTimeout time.Duration

	// WriteTimeout closes a connection whose client doesn't take its replies for that long; until then nothing more of
	// it is read, so at most one chunk of replies waits. 0: DefaultWriteTimeout.
	WriteTimeout time.Duration

	// KeepAlive is the idle time after which the kernel probes whether a client is still there. 0: DefaultKeepAlive;
	// negative: no probes.
	KeepAlive time.Duration

	// MaxMemory limits the memory that the engine counts (keys, values, index, buffers of clients) in bytes; beyond it
	// writes that grow the store get an error, reads and deletes go on. 0: 80 % of the cgroup's limit if there is one,
	// else no limit. Negative: no limit.
	MaxMemory int64

	// MaxValue is the largest value in bytes, at most 512 MiB. 0: DefaultMaxValue.
	MaxValue int64

	// MaxArgs is the largest number of arguments of one RESP request. 0: DefaultMaxArgs.
	MaxArgs int

	// Segments is the number of separately locked parts of the store, a power of two up to 65,536. 0: DefaultSegments.
	Segments int

	// Dir is the data folder: it holds the log and snapshots, from which the store is recovered at the start. It is
	// created if it is missing; another process that uses it makes New fail. Empty: nothing is kept, and nothing survives
	// the process.
	Dir string

	// Mode is where values lie. engine.ModeMemory: everything in memory; log and snapshots bring it back. engine.ModeBitcask:
	// keys in memory, values in the files of the log, which are merged; WALOff and SnapshotLogBytes are refused. Dir that was
	// made for another mode makes New fail. 0: what Dir was made for, engine.ModeMemory if it is new; Server.Mode tells.
	Mode engine.Mode

	// MaxFileBytes is the size at which mode bitcask goes on in a new data file, 64 KiB to 4 GiB less 4 MiB; only with
	// engine.ModeBitcask, where it stands in for LogFileBytes. 0: DefaultMaxFileBytes.
	MaxFileBytes int64

	// CacheBytes is how much of the values that are read mode bitcask keeps in memory, small ones that were used last, as
	// engine.Options.CacheBytes; only with engine.ModeBitcask. 0: none.
	CacheBytes int64
	// MapFiles reads values through mappings of the data files, as engine.Options.MapFiles; only with engine.ModeBitcask.
	MapFiles bool

	// Merge says when mode bitcask merges its data files. Other modes have no use for it.
	Merge engine.MergeOptions

	// ValueCompression is how values are compressed before they are written; only with engine.ModeBitcask. The zero value is
	// engine.ValueCompressionNone.
	ValueCompression engine.ValueCompression

	// WALOff keeps no log in Dir, only snapshots. Dangerous: a crash takes every write since the newest one, acknowledged
	// or not. Shutdown takes a last one, unless SaveInterval is negative. Without Dir it means nothing.
	WALOff bool

	// Compression is how snapshots are compressed; in mode bitcask, where they are links, it means nothing. The zero value is
	// engine.CompressionZstd.
	Compression engine.Compression

	// SaveInterval is how often a snapshot is taken if something has been written since the last one. 0: every
	// DefaultSaveInterval with WALOff, else never; negative: never.
	SaveInterval time.Duration

	// SnapshotLogBytes is how much log there may be since the newest snapshot before the next one is taken, which lets old
	// log files go. 0: as much as the newest snapshot has, and at least 256 MiB; negative: no snapshot is taken for that,
	// and the log grows until one is asked for. In mode bitcask, where no snapshot lets a file go, a positive one is refused.
	SnapshotLogBytes int64

	// RetainFor keeps what it takes to restore every moment since so long ago (nitrokv restore --to-time). 0: what a
	// start needs is kept, and nothing else.
	RetainFor time.Duration

	// RetainBytes keeps what it takes to restore every moment within the last so many bytes of log. 0: as above. With
	// both, what the longer of the two needs is kept.
	RetainBytes int64

	// BackupDir is the folder that BACKUP writes to, made with mode 0700 when it is first needed. Empty: "backups" in Dir.
	BackupDir string

	// LogFileBytes is the size at which the log goes on in a new file, 64 KiB to 1 TiB. 0: DefaultLogFileBytes, or
	// DefaultMaxFileBytes if Dir was made for mode bitcask.
	LogFileBytes int64

	// Level is how safe a write must be before it is acknowledged, unless the connection (CLIENT DURABILITY) or the
	// request says otherwise. 0: engine.LevelAlways, on disk.
	Level engine.Level

	// SyncInterval is how long a write that was acknowledged at engine.LevelEverysec may stay without a sync, 10 ms or more.
	// 0: a second.
	SyncInterval time.Duration

	// OnIOError is what happens when the log fails. The zero value is IOErrorExit.
	OnIOError IOErrorPolicy

	// Progress, if set, is called during recovery every now and then, with the bytes of snapshot and log that have been read and
	// that there are, from one goroutine at a time. It must not block.
	Progress func(done, total uint64)

	// Ready, if set, is called once, when data can be read and written: after recovery, or by Serve if there is no log.
	// It must not block.
	Ready func()

	// Logger gets the server's messages. Nil: they are dropped.
	Logger *slog.Logger
}

// withDefaults returns o with every zero field replaced by what it stands for, MaxMemory excepted: its default
// depends on the machine (see defaultMaxMemory).
func (o Options) withDefaults() Options {
	if len(o.Listen) == 0 {
		o.Listen = []string{DefaultListen}
	}
	if o.MaxClients == 0 {
		o.MaxClients = DefaultMaxClients
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = DefaultWriteTimeout
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = DefaultKeepAlive
	}
	if o.MaxValue == 0 {
		o.MaxValue = DefaultMaxValue
	}
	if o.MaxArgs == 0 {
		o.MaxArgs = DefaultMaxArgs
	}
	if o.Segments == 0 {
		o.Segments = DefaultSegments
	}
	if o.SlowlogMicros == 0 {
		o.SlowlogMicros = DefaultSlowlogMicros
	}
	if o.SlowlogLen == 0 {
		o.SlowlogLen = DefaultSlowlogLen
	}
	if o.HTTP == "off" {
		o.HTTP = ""
	}
	if o.SaveInterval == 0 && o.WALOff {
		o.SaveInterval = DefaultSaveInterval
	}
	if o.BackupDir == "" && o.Dir != "" {
		o.BackupDir = filepath.Join(o.Dir, "backups")
	}
	if o.Level == 0 {
		o.Level = engine.LevelAlways
	}
	if o.Ready == nil {
		o.Ready = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate reports the first field that cannot work. It expects defaults to be filled in.
func (o Options) validate() error {
	switch {
	case len(o.Password) > PasswordMax:
		return fmt.Errorf("server: the password has %d bytes; it may have %d", len(o.Password), PasswordMax)
	case o.MaxClients < 1:
		return fmt.Errorf("server: max clients is %d; it must be at least 1", o.MaxClients)
	case o.IdleTimeout < 0:
		return fmt.Errorf("server: idle timeout is %v; use 0 for none, or a positive duration", o.IdleTimeout)
	case o.WriteTimeout < 0:
		return fmt.Errorf("server: write timeout is %v; it must be positive", o.WriteTimeout)
	case o.MaxValue < 1 || o.MaxValue > DefaultMaxValue:
		return fmt.Errorf("server: max value is %d bytes; it must be 1 to %d", o.MaxValue, DefaultMaxValue)
	case o.MaxArgs < 1 || o.MaxArgs > DefaultMaxArgs:
		return fmt.Errorf("server: max args is %d; it must be 1 to %d", o.MaxArgs, DefaultMaxArgs)
	case o.SlowlogMicros < SlowlogAll:
		return fmt.Errorf("server: the slow log's limit is %d µs; use 1 or more, SlowlogNone or SlowlogAll", o.SlowlogMicros)
	case o.SlowlogLen > slowlogLenMax:
		return fmt.Errorf("server: the slow log has %d entries; it may have up to %d", o.SlowlogLen, slowlogLenMax)
	case o.Segments < 1 || o.Segments > 65536 || o.Segments&(o.Segments-1) != 0:
		return fmt.Errorf("server: segments is %d; it must be a power of two, 1 to 65536", o.Segments)
	}
	if err := o.validateData(); err != nil {
		return err
	}
	return o.validateMode()
}

// validateData is validate for what is about the data folder.
func (o Options) validateData() error {
	switch {
	case o.LogFileBytes != 0 && (o.LogFileBytes < 64<<10 || o.LogFileBytes > 1<<40):
		return fmt.Errorf("server: log file size is %d bytes; it must be 64 KiB to 1 TiB", o.LogFileBytes)
	case o.SyncInterval != 0 && o.SyncInterval < minSyncInterval:
		return fmt.Errorf("server: sync interval is %v; it must be %v or more, or 0 for a second", o.SyncInterval, minSyncInterval)
	case o.WALOff && (o.RetainFor != 0 || o.RetainBytes != 0):
		return errors.New("server: without a log there is nothing to keep for a restore to an earlier moment; " +
			"drop WALOff, or RetainFor and RetainBytes")
	case o.RetainFor < 0:
		return fmt.Errorf("server: the time to keep the log for is %v; use 0 for none, or a positive duration", o.RetainFor)
	case o.RetainBytes < 0:
		return fmt.Errorf("server: the log to keep is %d bytes; use 0 for none, or a positive size", o.RetainBytes)
	case o.Compression > engine.CompressionNone:
		return fmt.Errorf("server: %v is not known; use engine.CompressionZstd, CompressionLZ4 or CompressionNone",
			o.Compression)
	case o.ValueCompression > engine.ValueCompressionZstd:
		return fmt.Errorf("server: %v is not known; use engine.ValueCompressionZstd, ValueCompressionLZ4 or ValueCompressionNone",
			o.ValueCompression)
	case o.Level > engine.LevelAlways:
		return fmt.Errorf("server: sync level is %d; use engine.LevelAlways, LevelEverysec or LevelNever", o.Level)
	case o.OnIOError > IOErrorReadOnly:
		return fmt.Errorf("server: the policy for a failed log is %d; use IOErrorExit or IOErrorReadOnly", o.OnIOError)
	}
	return nil
}

// maxFileBytesMax is the largest data file: places in it have 32 bits, and a file may grow a little beyond its size.
const maxFileBytesMax = 4<<30 - 4<<20

// minSyncInterval is the shortest time between syncs that nobody waits for.
const minSyncInterval = 10 * time.Millisecond

// validateMode refuses what the mode that is asked for doesn't have: nobody should think that there is what there is not.
func (o Options) validateMode() error {
	if o.Mode != engine.ModeBitcask {
		if o.MaxFileBytes != 0 {
			return errors.New("server: a size of data files is set, which mode bitcask alone has; set Mode to engine.ModeBitcask, " +
				"or use LogFileBytes")
		}
		if o.ValueCompression != engine.ValueCompressionNone {
			return errors.New("server: values are to be compressed, which mode bitcask alone does; set Mode to engine.ModeBitcask, " +
				"or drop ValueCompression")
		}
		if o.MapFiles {
			return errors.New("server: data files are to be mapped, which mode bitcask alone has; set Mode to engine.ModeBitcask, or drop MapFiles")
		}
		if o.CacheBytes != 0 {
			return errors.New("server: a cache is set, which mode bitcask alone has; set Mode to engine.ModeBitcask, or drop CacheBytes")
		}
		return nil
	}
	switch {
	case o.Dir == "":
		return errors.New("server: mode bitcask keeps values on disk; set Dir")
	case o.WALOff:
		return errors.New("server: in mode bitcask the log is the data; drop WALOff")
	case o.LogFileBytes != 0:
		return errors.New("server: in mode bitcask the log's files are the data files; set MaxFileBytes in place of LogFileBytes")
	case o.MaxFileBytes != 0 && (o.MaxFileBytes < 64<<10 || o.MaxFileBytes > maxFileBytesMax):
		return fmt.Errorf("server: the size of data files is %d bytes; it must be 64 KiB to 4092 MiB", o.MaxFileBytes)
	case o.CacheBytes < 0:
		return fmt.Errorf("server: the size of the cache is %d bytes; it must be 0 (none) or more", o.CacheBytes)
	case o.SnapshotLogBytes > 0:
		return errors.New("server: in mode bitcask no snapshot makes files of the log superfluous; drop SnapshotLogBytes, or set " +
			"SaveInterval in place of it")
	}
	return nil
}
