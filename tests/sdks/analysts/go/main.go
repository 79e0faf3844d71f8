// What an analyst does with clickhouse-go over HTTP, in each of its compressions: a line of JSON for each.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	methods := []clickhouse.CompressionMethod{
		clickhouse.CompressionNone, clickhouse.CompressionLZ4, clickhouse.CompressionZSTD, clickhouse.CompressionGZIP,
	}
	for _, method := range methods {
		fail(ask(method))
	}
}

func ask(method clickhouse.CompressionMethod) error {
	ctx := context.Background()
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{os.Args[1]},
		Auth:        clickhouse.Auth{Database: "shop", Username: "default", Password: os.Args[2]},
		Compression: &clickhouse.Compression{Method: method},
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Ping(ctx); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	found := map[string]any{"compression": method.String()}

	var count, sum uint64
	rows, err := conn.Query(ctx, "SELECT number, toString(number), toDateTime(number, 'Europe/Berlin'), [toLowCardinality('a')] FROM numbers(200000)")
	if err != nil {
		return fmt.Errorf("rows: %w", err)
	}
	var zone string
	for rows.Next() {
		var number uint64
		var text string
		var at time.Time
		var list []string
		if err := rows.Scan(&number, &text, &at, &list); err != nil {
			return err
		}
		if text != fmt.Sprint(number) || list[0] != "a" || at.Unix() != int64(number) {
			return fmt.Errorf("row %d: %s %v %v", number, text, list, at)
		}
		zone = at.Location().String()
		count++
		sum += number
	}
	if err := rows.Err(); err != nil {
		return err
	}
	found["rows"], found["sum"], found["zone"] = count, sum, zone

	var kind string
	var total float64
	var tags map[string]string
	var plan *string
	row := conn.QueryRow(ctx, "SELECT kind, total, tags, plan FROM orders WHERE kind = ? ORDER BY total DESC LIMIT 1", "paid")
	if err := row.Scan(&kind, &total, &tags, &plan); err != nil {
		return fmt.Errorf("one: %w", err)
	}
	found["one"] = []any{kind, total, tags, plan}

	empty, err := conn.Query(ctx, "SELECT kind FROM orders WHERE 0")
	if err != nil {
		return fmt.Errorf("nothing: %w", err)
	}
	found["nothing"] = !empty.Next()
	fail(empty.Err())

	var refused *clickhouse.Exception
	err = conn.Exec(ctx, "SELECT missing FROM orders")
	found["refused"] = fmt.Sprint(err)
	if errors.As(err, &refused) {
		found["refused"] = refused.Message
	}

	batch, err := conn.PrepareBatch(ctx, "INSERT INTO orders (kind, total, tags, plan)")
	if err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	for n := 0; n < 1000; n++ {
		if err := batch.Append("sent by "+method.String(), float64(n), map[string]string{"n": fmt.Sprint(n)}, nil); err != nil {
			return err
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	var stored uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM orders WHERE kind = ?", "sent by "+method.String()).Scan(&stored); err != nil {
		return fmt.Errorf("stored: %w", err)
	}
	found["stored"] = stored
	line, err := json.Marshal(found)
	fmt.Println(string(line))
	return err
}
