package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/client"
)

// lines is how long after a build printed them its lines come out of the log
// that is followed, as the log of a page is. A browser draws them with its next
// frame.
func lines(ctx context.Context, api *client.Client, many int) (took []time.Duration, err error) {
	command := fmt.Sprintf("for i in $(seq %d); do echo now $(date +%%s%%N); sleep 0.1; done", many)
	definition, err := json.Marshal(map[string]any{
		"name": "lines", "source": map[string]string{"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases:\n  build:\n    commands:\n      - '" + command + "'\n"},
		"artifacts":   map[string]string{"type": "NO_ARTIFACTS"},
		"environment": map[string]string{"type": "LINUX_CONTAINER", "image": "none", "computeType": "BUILD_GENERAL1_SMALL"},
	})
	if err != nil {
		return nil, err
	}
	if _, err := api.PutProject(ctx, "lines", definition); err != nil {
		return nil, err
	}
	build, err := api.StartBuild(ctx, "lines", client.BuildRequest{})
	if err != nil {
		return nil, err
	}
	log, err := api.BuildLog(ctx, build.ID, true)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	scan := bufio.NewScanner(log)
	for scan.Scan() {
		_, printed, ok := strings.Cut(scan.Text(), " now ")
		if !ok {
			continue
		}
		at, err := strconv.ParseInt(strings.TrimSpace(printed), 10, 64)
		if err != nil {
			continue // the command itself, as the log tells it
		}
		took = append(took, time.Since(time.Unix(0, at)))
	}
	if err := scan.Err(); err != nil {
		return nil, err
	}
	if len(took) != many {
		return nil, fmt.Errorf("%d of %d lines have come", len(took), many)
	}
	slices.Sort(took)
	return took, nil
}
