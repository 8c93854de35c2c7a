package acme

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger returns certmagic's logger: warnings and errors go to the program's log, and its many
// progress lines to the debug level.
func logger() *zap.Logger { return zap.New(core{}) }

type core struct{ fields []zapcore.Field }

var levels = map[zapcore.Level]slog.Level{
	zapcore.DebugLevel: slog.LevelDebug - 4, zapcore.InfoLevel: slog.LevelDebug,
	zapcore.WarnLevel: slog.LevelWarn,
}

func levelOf(l zapcore.Level) slog.Level {
	if level, ok := levels[l]; ok {
		return level
	}
	return slog.LevelError
}

func (core) Enabled(l zapcore.Level) bool {
	return slog.Default().Enabled(context.Background(), levelOf(l))
}

func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

func (c core) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	encoder := zapcore.NewMapObjectEncoder()
	for _, list := range [][]zapcore.Field{c.fields, fields} {
		for _, f := range list {
			f.AddTo(encoder)
		}
	}
	attributes := make([]any, 0, len(encoder.Fields))
	for key, value := range encoder.Fields {
		attributes = append(attributes, slog.Any(key, value))
	}
	slog.Log(context.Background(), levelOf(e.Level), "acme: "+e.Message, attributes...)
	return nil
}

func (core) Sync() error { return nil }
