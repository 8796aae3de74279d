// Facts about one WebSocket.

import SocketMode
import Testing

private typealias Action = ConnectionStateMachine.Action

@Suite struct ConnectionStateMachineTests {
    @Test("an upgraded socket waits for hello, and is watched")
    func upgraded() {
        var machine = ConnectionStateMachine(now: .zero)
        #expect(
            machine.upgraded(now: .zero) == [
                .schedule(.hello, after: .seconds(10)), .schedule(.life, after: .seconds(10)),
            ])
    }

    @Test("only hello makes a connection, once")
    func hello() {
        var machine = ConnectionStateMachine(now: .zero)
        #expect(machine.helloReceived() == [.cancel(.hello), .report(.connected)])
        #expect(machine.helloReceived() == [])
    }

    @Test("no hello in time: closed")
    func helloTimeout() {
        var machine = ConnectionStateMachine(now: .zero)
        #expect(machine.timerFired(.hello, now: .seconds(10)) == closeActions(.helloTimeout))
    }

    @Test("a hello timer that fires late changes nothing")
    func lateHelloTimer() {
        var machine = connected()
        #expect(machine.timerFired(.hello, now: .seconds(10)) == [])
    }

    @Test(
        "disconnect in place of hello is the end, whatever its reason",
        arguments: [
            (SlackDisconnect.refresh, EndReason.refused), (.linkDisabled, .linkDisabled),
            (.tooManyWebSockets, .tooManyWebSockets),
        ])
    func disconnectBeforeHello(cause: SlackDisconnect, reason: EndReason) {
        var machine = ConnectionStateMachine(now: .zero)
        #expect(machine.disconnectReceived(cause) == closeActions(reason))
    }

    @Test("F27: a refresh on a connection is told to the pool, in other states it is nothing")
    func refresh() {
        var machine = connected()
        #expect(machine.disconnectReceived(.refresh) == [.report(.refreshAsked)])
        _ = machine.close(.drained)
        #expect(machine.disconnectReceived(.refresh) == [])
        #expect(machine.disconnectReceived(.linkDisabled) == [])
    }

    @Test(
        "F45: a reason that is not known means refresh",
        arguments: ["warning", "refresh_requested", "", "something_new"])
    func unknownReasons(reason: String) { #expect(SlackDisconnect(.init(reason)) == .refresh) }

    @Test("F13: pings are answered from the first byte on, until our close frame")
    func pongs() {
        var machine = ConnectionStateMachine(now: .zero)
        #expect(machine.maySend == true)
        _ = machine.helloReceived()
        #expect(machine.maySend == true)
        _ = machine.close(.drained)
        #expect(machine.maySend == false)
    }

    @Test("F9: without any frame for 30 s a connection is dead")
    func dead() {
        var machine = connected()
        machine.frameReceived(now: .seconds(1))
        #expect(machine.timerFired(.life, now: .seconds(30)) == [.sendPing, .schedule(.life, after: .seconds(1))])
        #expect(machine.timerFired(.life, now: .seconds(31)) == closeActions(.dead))
    }

    @Test("F11: any frame is life, a day without an envelope is no death")
    func quiet() {
        var machine = connected()
        for tick in 1...8640 {
            machine.frameReceived(now: .seconds(10 * tick - 1))
            #expect(
                machine.timerFired(.life, now: .seconds(10 * tick))
                    == [.sendPing, .schedule(.life, after: .seconds(10))])
        }
    }

    @Test("F5: a close frame, 1 s, then TCP is cut")
    func cut() {
        var machine = connected()
        #expect(machine.close(.refreshed).contains(.schedule(.close, after: .seconds(1))))
        #expect(machine.timerFired(.close, now: .seconds(1)) == [.cut])
    }

    @Test("F1: an error, a close frame and the end of TCP together make one closing and one closed")
    func oneOutcome() {
        var machine = connected()
        let actions =
            machine.protocolViolated(.malformed) + machine.closeFrameReceived() + machine.close(.dead)
            + machine.transportClosed() + machine.transportClosed()
        #expect(reports(actions) == [.closing(.protocolError), .closed(.protocolError)])
    }

    @Test("F19: the end of TCP without a close frame is a reset")
    func reset() {
        var machine = connected()
        #expect(reports(machine.transportClosed()) == [.closing(.reset), .closed(.reset)])
    }

    @Test("a message over the cap is answered with 1009, broken framing with 1002")
    func violations() {
        var large = connected()
        #expect(large.protocolViolated(.messageTooLarge).contains(.sendClose(code: 1009)))
        var broken = connected()
        #expect(broken.protocolViolated(.malformed).contains(.sendClose(code: 1002)))
    }

    @Test("retired with nothing outstanding: closed at once")
    func retireIdle() {
        var machine = connected()
        #expect(machine.retire() == closeActions(.refreshed))
    }

    @Test("retired with envelopes outstanding: reads on, closed after the last of them")
    func retireBusy() {
        var machine = connected()
        #expect(machine.envelopesReceived(2, bytes: 10) == .deliver)
        #expect(machine.retire() == [.schedule(.retire, after: .seconds(25))])
        #expect(machine.envelopesReceived(1, bytes: 5) == .deliver)
        #expect(machine.envelopesFinished(2, bytes: 10) == [])
        #expect(machine.envelopesFinished(1, bytes: 5) == closeActions(.refreshed))
    }

    @Test("retired and never done: closed after the retire timeout, and envelopes are still taken")
    func retireTimeout() {
        var machine = connected()
        _ = machine.envelopesReceived(1, bytes: 1)
        _ = machine.retire()
        #expect(machine.timerFired(.retire, now: .seconds(25)) == closeActions(.refreshed))
        #expect(machine.envelopesReceived(1, bytes: 1) == .deliver)
        #expect(machine.maySend == false)
    }

    @Test("draining: envelopes are taken for a grace, then left to Slack")
    func drain() {
        var machine = connected()
        _ = machine.envelopesReceived(1, bytes: 1)
        #expect(machine.drain() == [.cancel(.retire), .schedule(.drain, after: .seconds(1))])
        #expect(machine.envelopesReceived(1, bytes: 1) == .deliver)
        #expect(machine.timerFired(.drain, now: .seconds(1)) == [])
        #expect(machine.envelopesReceived(1, bytes: 1) == .leave(.draining))
        #expect(machine.envelopesFinished(1, bytes: 1) == [])
        #expect(machine.envelopesFinished(1, bytes: 1) == closeActions(.drained))
    }

    @Test("draining: what is outstanding is done within the grace, then it is closed for good")
    func drainInTime() {
        var machine = connected()
        _ = machine.envelopesReceived(1, bytes: 1)
        _ = machine.retire()
        _ = machine.drain()
        #expect(machine.timerFired(.retire, now: .seconds(25)) == [])
        #expect(machine.envelopesFinished(1, bytes: 1) == closeActions(.drained))
    }

    @Test("Slack's close frame is answered after what is outstanding is acknowledged")
    func closedBySlack() {
        var machine = connected()
        _ = machine.envelopesReceived(1, bytes: 1)
        let actions = machine.closeFrameReceived()
        #expect(reports(actions) == [.closing(.closedBySlack)])
        #expect(!actions.contains(.sendClose(code: 1000)))
        #expect(machine.maySend == true)
        #expect(
            machine.envelopesFinished(1, bytes: 1)
                == [.sendClose(code: 1000), .schedule(.close, after: .seconds(1))])
        #expect(reports(machine.transportClosed()) == [.closed(.closedBySlack)])
    }

    @Test("Slack's close frame is answered in time even when nothing gets acknowledged")
    func closedBySlackTimeout() {
        var machine = connected()
        _ = machine.envelopesReceived(1, bytes: 1)
        _ = machine.closeFrameReceived()
        let actions = machine.timerFired(.close, now: .seconds(1))
        #expect(actions.first == .sendClose(code: 1000))
        #expect(actions.last == .cut)
    }

    @Test("a receiver that falls far behind is not given more")
    func overload() {
        var machine = ConnectionStateMachine(limits: .init(maxOutstanding: 2, maxOutstandingBytes: 100), now: .zero)
        #expect(machine.envelopesReceived(1, bytes: 100) == .deliver)
        #expect(machine.envelopesReceived(1, bytes: 1) == .leave(.overloaded))
        _ = machine.envelopesFinished(1, bytes: 100)
        #expect(machine.envelopesReceived(2, bytes: 1) == .deliver)
        #expect(machine.envelopesReceived(1, bytes: 1) == .leave(.overloaded))
    }

    @Test("after the close frame of a drain envelopes are left to Slack: no other connection could acknowledge them")
    func closingDrained() {
        var drained = connected()
        _ = drained.drain()
        #expect(drained.envelopesReceived(1, bytes: 1) == .leave(.draining))
        var refreshed = connected()
        _ = refreshed.retire()
        #expect(refreshed.envelopesReceived(1, bytes: 1) == .deliver)
    }

    @Test("nothing follows the end", arguments: ConnectionStateMachine.Timer.allCases)
    func end(timer: ConnectionStateMachine.Timer) {
        var machine = connected()
        _ = machine.transportClosed()
        #expect(machine.timerFired(timer, now: .seconds(100)) == [])
        #expect(machine.helloReceived() == [])
        #expect(machine.retire() == [])
        #expect(machine.drain() == [])
        #expect(machine.close(.dead) == [])
        #expect(machine.closeFrameReceived() == [])
        #expect(machine.envelopesFinished(1, bytes: 1) == [])
        #expect(machine.envelopesReceived(1, bytes: 1) == .leave(.draining))
    }

    private func connected() -> ConnectionStateMachine {
        var machine = ConnectionStateMachine(now: .zero)
        _ = machine.upgraded(now: .zero)
        _ = machine.helloReceived()
        return machine
    }

    private func closeActions(_ reason: EndReason) -> [Action] {
        ConnectionStateMachine.Timer.allCases.map { .cancel($0) } + [
            .sendClose(code: reason.closeCode), .schedule(.close, after: .seconds(1)), .report(.closing(reason)),
        ]
    }

    private func reports(_ actions: [Action]) -> [ConnectionStateMachine.Report] {
        actions.compactMap { if case .report(let report) = $0 { report } else { nil } }
    }
}
