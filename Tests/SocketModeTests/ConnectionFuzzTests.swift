// A connection among random events: what must hold whatever happens, in any order.

import SocketMode
import Testing

@Suite struct ConnectionFuzzTests {
    @Test("one closing, one closed, one close frame, and nothing written after it", arguments: 0..<300)
    func invariants(seed: UInt64) {
        var random = FuzzRandom(seed: seed)
        var machine = ConnectionStateMachine(now: .zero)
        var actions = machine.upgraded(now: .zero)
        var now: Duration = .zero
        for _ in 0..<60 {
            now += .milliseconds(Int64.random(in: 0...5000, using: &random))
            switch Int.random(in: 0..<13, using: &random) {
            case 0: machine.frameReceived(now: now)
            case 1: actions += machine.helloReceived()
            case 2:
                actions += machine.disconnectReceived(
                    SlackDisconnect.allCases.randomElement(using: &random) ?? .refresh)
            case 3, 4: _ = machine.envelopesReceived(Int.random(in: 1...9, using: &random), bytes: 100)
            case 5: actions += machine.envelopesFinished(Int.random(in: 1...20, using: &random), bytes: 100)
            case 6: actions += machine.protocolViolated(.malformed)
            case 7: actions += machine.closeFrameReceived()
            case 8: actions += machine.retire()
            case 9: actions += machine.drain()
            case 10: actions += machine.close(EndReason.allCases.randomElement(using: &random) ?? .drained)
            default:
                let timer = ConnectionStateMachine.Timer.allCases.randomElement(using: &random) ?? .life
                actions += machine.timerFired(timer, now: now)
            }
        }
        actions += machine.transportClosed() + machine.transportClosed()

        #expect(actions.count { if case .report(.closing) = $0 { true } else { false } } == 1)
        #expect(actions.count { if case .report(.closed) = $0 { true } else { false } } == 1)
        #expect(actions.count { $0 == .report(.connected) } <= 1)
        let closes = actions.indices.filter { if case .sendClose = actions[$0] { true } else { false } }
        #expect(closes.count <= 1)
        if let close = closes.first { #expect(!actions[close...].contains(.sendPing)) }
        if case .report(.closed) = actions.last {} else { Issue.record("something after closed") }
    }
}
