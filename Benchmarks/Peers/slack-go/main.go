// A bridge as people write it with slack-go: acknowledge, then post the payload to the backend with a v0 signature. Or
// wait for the backend's reply and acknowledge with it (-answer).
//
//	slack-go -api URL -backend URL [-connections N] [-in-flight N] [-answer]
//
// SLACK_APP_TOKEN, SLACK_SIGNING_SECRET: as Slack gives them. Stores nothing and tries nothing twice.
// Written for slack-go 0.11 and Go 1.19, which Debian 12 has; built without modules, from Debian's sources.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
)

type bridge struct {
	backend  string
	secret   []byte
	client   *http.Client
	inFlight chan struct{}
	answers  bool
}

func main() {
	api := flag.String("api", "https://slack.com/api/", "Slack's API, with a slash at its end")
	backend := flag.String("backend", "", "where payloads are posted")
	connections := flag.Int("connections", 1, "to Slack")
	inFlight := flag.Int("in-flight", 16, "posts at the same time")
	answers := flag.Bool("answer", false, "acknowledge with the backend's reply")
	flag.Parse()

	b := &bridge{
		backend:  *backend,
		secret:   []byte(os.Getenv("SLACK_SIGNING_SECRET")),
		inFlight: make(chan struct{}, *inFlight),
		answers:  *answers,
		client: &http.Client{
			Timeout: 10 * time.Second,
			// The default keeps 2 idle connections per host and opens all others anew.
			Transport: &http.Transport{
				MaxIdleConns: *inFlight, MaxIdleConnsPerHost: *inFlight, IdleConnTimeout: 90 * time.Second,
			},
		},
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	for i := 0; i < *connections; i++ {
		slackClient := slack.New(
			"", slack.OptionAppLevelToken(os.Getenv("SLACK_APP_TOKEN")), slack.OptionAPIURL(*api))
		client := socketmode.New(slackClient)
		go b.handleEvents(client)
		go func() {
			if err := client.RunContext(ctx); err != nil && ctx.Err() == nil {
				log.Fatalf("no connection to Slack: %v", err)
			}
		}()
	}
	<-ctx.Done()
}

// A goroutine per event, as slack-go's own SocketmodeHandler has it.
func (b *bridge) handleEvents(client *socketmode.Client) {
	for event := range client.Events {
		switch event.Type {
		case socketmode.EventTypeEventsAPI:
			go b.forward(client, *event.Request, "application/json", event.Request.Payload)
		case socketmode.EventTypeSlashCommand:
			form, err := formOf(event.Request.Payload)
			if err != nil {
				log.Printf("a command that is no object: %v", err)
				continue
			}
			go b.forward(client, *event.Request, "application/x-www-form-urlencoded", form)
		case socketmode.EventTypeConnectionError, socketmode.EventTypeErrorBadMessage,
			socketmode.EventTypeErrorWriteFailed:
			log.Printf("%s: %v", event.Type, event.Data)
		}
	}
}

func (b *bridge) forward(client *socketmode.Client, request socketmode.Request, contentType string, body []byte) {
	if !b.answers {
		client.Ack(request)
	}
	b.inFlight <- struct{}{}
	reply, err := b.post(contentType, body)
	<-b.inFlight
	if err != nil {
		// Unanswered: Slack shows the person that the app did not respond.
		log.Printf("not delivered: %v", err)
		return
	}
	if b.answers {
		client.Ack(request, json.RawMessage(reply))
	}
}

func (b *bridge) post(contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(http.MethodPost, b.backend, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("X-Slack-Request-Timestamp", timestamp)
	request.Header.Set("X-Slack-Signature", b.sign(timestamp, body))
	response, err := b.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	// Read to its end: else the connection is not used again.
	reply, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the backend answered %s", response.Status)
	}
	return reply, err
}

func (b *bridge) sign(timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, b.secret)
	mac.Write([]byte("v0:" + timestamp + ":"))
	mac.Write(body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

// In HTTP mode Slack sends a command as a form.
func formOf(payload json.RawMessage) ([]byte, error) {
	var fields map[string]string
	if err := json.Unmarshal(payload, &fields); err != nil {
		return nil, err
	}
	form := make(url.Values, len(fields))
	for name, value := range fields {
		form.Set(name, value)
	}
	return []byte(form.Encode()), nil
}
