// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC20Errors } from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";
import { IOptimisticOracle } from "../../../contracts/interfaces/IOptimisticOracle.sol";
import { IOracle } from "../../../contracts/interfaces/IOracle.sol";
import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { Arbitrator, OptimisticBase } from "./utils/OptimisticBase.sol";

/// @notice Each function of the game, and each way it says no.
contract OptimisticOracleTest is OptimisticBase {
    uint256 private constant MAX_FIRST = 2 ** 127 - 1;

    function _outOfRange(uint256 bond, uint256 min) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IOptimisticOracle.BondOutOfRange.selector, bond, min, MAX_FIRST);
    }

    function _noSuchOutcome(uint256 outcome) private view returns (bytes memory) {
        return abi.encodeWithSelector(IOptimisticOracle.OutcomeOutOfRange.selector, question, outcome);
    }

    /* propose */

    function test_propose_beginsTheGame() public {
        _wait(100);
        _assertStatus(game, question, IOracle.Status.Open, "open");
        vm.expectEmit(address(game));
        emit IOptimisticOracle.AnswerGiven(question, alice, 2, MIN, EVIDENCE);
        vm.prank(alice);
        QuestionId proposed = game.propose(key, terms, 2, EVIDENCE, MIN);

        vm.assertTrue(proposed == question, "id");
        IOptimisticOracle.Game memory g = game.games(question);
        vm.assertEq(g.bondToken, address(token), "token");
        vm.assertEq(uint256(g.closes), CLOSES, "closes");
        vm.assertEq(uint256(g.liveness), LIVENESS, "liveness");
        vm.assertEq(g.arbitrator, address(arbitrator), "arbitrator");
        vm.assertEq(uint256(g.since), START + 100, "since");
        vm.assertEq(uint256(g.arbitrationWindow), WINDOW, "window");
        vm.assertEq(g.requester, address(0), "requester");
        vm.assertEq(uint256(g.rulingUntil), 0, "ruling until");
        vm.assertEq(uint256(g.outcome), 2, "outcome");
        vm.assertEq(uint256(g.leader), 2, "leader");
        vm.assertTrue(!g.isRuled && g.ruling == 0, "no ruling");
        vm.assertEq(g.bond, MIN, "bond");
        vm.assertEq(g.pot, MIN, "pot");
        vm.assertEq(token.balanceOf(address(game)), MIN, "taken");
        vm.assertEq(token.balanceOf(alice), FUNDS - MIN, "from alice");
        vm.assertEq(game.bondOf(question, 2, alice), MIN, "alice's");
        (uint256 bonds, uint256 stood) = game.support(question, 2);
        vm.assertEq(bonds, MIN, "bonds");
        vm.assertEq(stood, 0, "stood");
        _assertStatus(game, question, IOracle.Status.Pending, "pending");
        _assertRunning("running");
    }

    function test_propose_takesAnyBondFromTheMinimumToTheMaximum() public {
        _expect(_outOfRange(MIN - 1, MIN));
        _proposeFor(alice, 0, MIN - 1);
        token.mint(alice, MAX_FIRST);
        _expect(_outOfRange(MAX_FIRST + 1, MIN));
        _proposeFor(alice, 0, MAX_FIRST + 1);
        _proposeFor(alice, 0, MAX_FIRST);
        vm.assertEq(game.games(question).bond, MAX_FIRST, "maximum");
    }

    function test_propose_takesAMinimumAtTheMaximum() public {
        IOptimisticOracle.Terms memory changed = _terms();
        changed.minimumBond = uint128(MAX_FIRST);
        _use(changed);
        token.mint(alice, MAX_FIRST);
        _proposeFor(alice, 0, MAX_FIRST);
        vm.assertEq(game.games(question).pot, MAX_FIRST, "maximum");
    }

    function test_propose_revertsTheSecondTime() public {
        _propose(alice, 0);
        _expect(abi.encodeWithSelector(IOptimisticOracle.AlreadyProposed.selector, question));
        _propose(bob, 1);
    }

    function test_propose_revertsOnAnOutcomeThatDoesNotExist() public {
        _expect(_noSuchOutcome(OUTCOMES));
        _propose(alice, OUTCOMES);
        _propose(alice, OUTCOMES - 1);
    }

    function test_propose_revertsBeforeItOpens() public {
        IOptimisticOracle.Terms memory changed = _terms();
        changed.opens = START + 10;
        _use(changed);
        _wait(9);
        _expect(
            abi.encodeWithSelector(
                IOptimisticOracle.ProposalTooEarly.selector,
                question,
                uint256(START + 10),
                uint256(START + 9)
            )
        );
        _propose(alice, 0);
        _wait(1);
        _propose(alice, 0);
    }

    function test_propose_revertsWhenTheGameHasNotItsRoundsLeft() public {
        vm.assertEq(game.ROUNDS(), 8, "rounds");
        _at(LATEST + 1);
        _expect(
            abi.encodeWithSelector(
                IOptimisticOracle.ProposalTooLate.selector,
                question,
                uint256(LATEST),
                uint256(LATEST + 1)
            )
        );
        _propose(alice, 0);
        _at(LATEST);
        _propose(alice, 0);
    }

    function test_propose_revertsWhenTheDeadlineNeverLeftRoom() public {
        vm.warp(1);
        key.deadline = uint64(9 * LIVENESS + WINDOW);
        IOptimisticOracle.Terms memory changed = _terms();
        changed.opens = 0;
        _use(changed);
        _expect(abi.encodeWithSelector(IOptimisticOracle.ProposalTooLate.selector, question, uint256(0), uint256(1)));
        _propose(alice, 0);

        key.deadline -= 1;
        _use(changed);
        _expect(abi.encodeWithSelector(IOptimisticOracle.ProposalTooLate.selector, question, uint256(0), uint256(1)));
        _propose(alice, 0);

        key.deadline += 2;
        _use(changed);
        _propose(alice, 0);
    }

    function test_propose_withTheLongestTimesIsTooLateToo() public {
        IOptimisticOracle.Terms memory changed = _terms();
        changed.liveness = type(uint32).max;
        changed.arbitrationWindow = type(uint32).max;
        _use(changed);
        _expect(
            abi.encodeWithSelector(IOptimisticOracle.ProposalTooLate.selector, question, uint256(0), uint256(START))
        );
        _propose(alice, 0);
    }

    function test_propose_revertsOnTermsThatDoNotHash() public {
        IOptimisticOracle.Terms memory changed = _terms();
        changed.minimumBond = 1;
        terms = abi.encode(changed);
        _expect(_unknown(game.questionId(key, terms)));
        _propose(alice, 0);
    }

    function test_propose_revertsOnMalformedTerms() public {
        terms = abi.encode(token, uint256(1) << 128, 0, 1, arbitrator, 1);
        question = _askOf(game, key, terms);
        _expect(_malformedTerms(question));
        _propose(alice, 0);
    }

    function test_propose_revertsWithoutLiveness() public {
        IOptimisticOracle.Terms memory changed = _terms();
        changed.liveness = 0;
        _use(changed);
        _expect(abi.encodeWithSelector(IOptimisticOracle.LivenessIsZero.selector));
        _propose(alice, 0);
    }

    function test_propose_revertsOnAMinimumBondNobodyCanDouble() public {
        uint128[3] memory wrong = [0, uint128(MAX_FIRST + 1), type(uint128).max];
        for (uint256 i = 0; i < wrong.length; ++i) {
            IOptimisticOracle.Terms memory changed = _terms();
            changed.minimumBond = wrong[i];
            _use(changed);
            _expect(abi.encodeWithSelector(IOptimisticOracle.MinimumBondOutOfRange.selector, uint256(wrong[i])));
            _propose(alice, 0);
        }
    }

    function test_propose_revertsOnATokenWithoutCode() public {
        IOptimisticOracle.Terms memory changed = _terms();
        changed.bondToken = address(0xdead);
        _use(changed);
        _expect(abi.encodeWithSelector(IOptimisticOracle.InvalidBondToken.selector, address(0xdead)));
        _propose(alice, 0);
    }

    function test_propose_revertsWithoutAllowance() public {
        vm.prank(alice);
        token.approve(address(game), MIN - 1);
        _expect(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector,
                address(game),
                uint256(MIN - 1),
                uint256(MIN)
            )
        );
        _propose(alice, 0);
    }

    /* dispute */

    function test_dispute_replacesTheAnswer() public {
        _propose(alice, 2);
        _wait(1000);
        vm.expectEmit(address(game));
        emit IOptimisticOracle.AnswerGiven(question, bob, 1, 2 * MIN, bytes32(uint256(7)));
        vm.prank(bob);
        game.dispute(question, 1, bytes32(uint256(7)), 2 * MIN);

        IOptimisticOracle.Game memory g = game.games(question);
        vm.assertEq(uint256(g.since), START + 1000, "since");
        vm.assertEq(uint256(g.outcome), 1, "outcome");
        vm.assertEq(uint256(g.leader), 2, "leader");
        vm.assertEq(g.bond, 2 * MIN, "bond");
        vm.assertEq(g.pot, 3 * MIN, "pot");
        vm.assertEq(token.balanceOf(address(game)), 3 * MIN, "taken");
        vm.assertEq(game.bondOf(question, 1, bob), 2 * MIN, "bob's");
        (uint256 bonds, uint256 stood) = game.support(question, 2);
        vm.assertEq(bonds, MIN, "alice's bond");
        vm.assertEq(stood, 1000, "alice's answer stood");

        _wait(500);
        _dispute(alice, 2);
        (bonds, stood) = game.support(question, 2);
        vm.assertEq(bonds, 5 * MIN, "alice's bonds");
        vm.assertEq(stood, 1000, "not yet more");
        (, stood) = game.support(question, 1);
        vm.assertEq(stood, 500, "bob's answer stood");
        vm.assertEq(game.bondOf(question, 2, alice), 5 * MIN, "alice's together");
    }

    function test_dispute_theLeaderIsWhoStoodLongestUntilThen() public {
        _propose(alice, 0);
        _wait(100);
        _dispute(bob, 1);
        _wait(100);
        _dispute(alice, 0);
        vm.assertEq(uint256(game.games(question).leader), 0, "a tie keeps the earlier");
        _wait(10);
        _dispute(bob, 1);
        _wait(11);
        _dispute(alice, 0);
        vm.assertEq(uint256(game.games(question).leader), 1, "overtaken by a second");
    }

    function test_dispute_revertsBeforeAnAnswer() public {
        _expect(abi.encodeWithSelector(IOptimisticOracle.NotProposed.selector, question));
        vm.prank(alice);
        game.dispute(question, 1, EVIDENCE, 2 * MIN);
    }

    function test_dispute_revertsOnTheSameAnswer() public {
        _propose(alice, 2);
        _disputeFails(abi.encodeWithSelector(IOptimisticOracle.SameAnswer.selector, question, uint256(2)), bob, 2);
    }

    function test_dispute_revertsOnAnyBondButTwice() public {
        _propose(alice, 2);
        uint256[3] memory wrong = [uint256(MIN), 2 * MIN - 1, 2 * MIN + 1];
        for (uint256 i = 0; i < wrong.length; ++i) {
            _expect(abi.encodeWithSelector(IOptimisticOracle.WrongBond.selector, question, wrong[i], 2 * MIN));
            vm.prank(bob);
            game.dispute(question, 1, EVIDENCE, wrong[i]);
        }
    }

    function test_dispute_revertsOnAnOutcomeThatDoesNotExist() public {
        _propose(alice, 2);
        _disputeFails(_noSuchOutcome(OUTCOMES), bob, OUTCOMES);
        _disputeFails(_noSuchOutcome(255), bob, 255);
    }

    function test_dispute_revertsOnceTheAnswerHasStoodLongEnough() public {
        _propose(alice, 2);
        _wait(LIVENESS - 1);
        _dispute(bob, 1);
        _wait(LIVENESS);
        _disputeFails(_answersEnded(time), alice, 2);
    }

    function test_dispute_revertsFromClosingTimeOn() public {
        _at(LATEST);
        _propose(alice, 0);
        for (uint8 i = 1; i <= 8; ++i) {
            _wait(LIVENESS - 1);
            _dispute(i % 2 == 1 ? bob : alice, i % 2);
        }
        _at(CLOSES - 1);
        _dispute(bob, 1);
        _at(CLOSES);
        _disputeFails(_answersEnded(CLOSES), alice, 0);
    }

    function test_dispute_revertsAfterARuling() public {
        _propose(alice, 0);
        _request(bob);
        arbitrator.rule(game, 1);
        _disputeFails(_answersEnded(START + LIVENESS), bob, 1);
    }

    /* requestArbitration */

    function test_requestArbitration_callsTheArbitratorAndPaysIt() public {
        _propose(alice, 0);
        _wait(50);
        vm.expectEmit(address(game));
        emit IOptimisticOracle.ArbitrationRequested(question, carol, START + 50 + WINDOW);
        _request(carol);

        vm.assertTrue(arbitrator.question() == question, "question");
        vm.assertEq(arbitrator.requester(), carol, "told the requester");
        vm.assertEq(uint256(arbitrator.until()), START + 50 + WINDOW, "told until when");
        vm.assertEq(address(arbitrator).balance, 1 ether, "paid");
        vm.assertEq(address(game).balance, 0, "nothing stays");
        IOptimisticOracle.Game memory g = game.games(question);
        vm.assertEq(g.requester, carol, "requester");
        vm.assertEq(uint256(g.rulingUntil), START + 50 + WINDOW, "until");
        vm.assertEq(uint256(g.since), START, "the answer's time goes on");
    }

    function test_requestArbitration_paysAPlainAccount() public {
        IOptimisticOracle.Terms memory changed = _terms();
        changed.arbitrator = bob;
        _use(changed);
        _propose(alice, 0);
        _request(alice);
        vm.assertEq(bob.balance, 101 ether, "paid");
        vm.prank(bob);
        game.rule(question, 1);
        _assertVerdict(1, "ruled");
    }

    function test_requestArbitration_revertsTheSecondTime() public {
        _propose(alice, 0);
        _request(carol);
        _expect(abi.encodeWithSelector(IOptimisticOracle.ArbitrationAlreadyRequested.selector, question, carol));
        _request(bob);
    }

    function test_requestArbitration_revertsBeforeAnAnswer() public {
        _expect(abi.encodeWithSelector(IOptimisticOracle.NotProposed.selector, question));
        _request(alice);
    }

    function test_requestArbitration_revertsOnceAnswersEnded() public {
        _propose(alice, 0);
        _wait(LIVENESS);
        _expect(_answersEnded(START + LIVENESS));
        _request(bob);
        vm.warp(time - 1);
        _request(bob);
    }

    function test_requestArbitration_revertsWithoutAnArbitrator() public {
        IOptimisticOracle.Terms memory changed = _terms();
        changed.arbitrator = address(0);
        changed.arbitrationWindow = 0;
        _use(changed);
        _propose(alice, 0);
        vm.assertEq(uint256(game.games(question).closes), ENDS - LIVENESS, "no window is kept free");
        _expect(abi.encodeWithSelector(IOptimisticOracle.NoArbitrator.selector, question));
        _request(bob);
    }

    function test_requestArbitration_revertsWhenTheArbitratorDoes() public {
        _propose(alice, 0);
        arbitrator.set(Arbitrator.Mood.Refusing);
        _expect(
            abi.encodeWithSelector(
                IOptimisticOracle.ArbitratorRefused.selector,
                address(arbitrator),
                abi.encodeWithSelector(Arbitrator.FeeTooSmall.selector, uint256(1 ether), uint256(1 ether))
            )
        );
        _request(bob);
        arbitrator.set(Arbitrator.Mood.Failing);
        _expect(abi.encodeWithSelector(IOptimisticOracle.ArbitratorRefused.selector, address(arbitrator), bytes("")));
        _request(bob);

        // It can still be called when it comes to its senses.
        vm.assertEq(game.games(question).requester, address(0), "as if never called");
        arbitrator.set(Arbitrator.Mood.Willing);
        _request(bob);
    }

    /* rule */

    function test_rule_decidesAtOnce() public {
        _propose(alice, 0);
        _request(alice);
        vm.expectEmit(address(game));
        emit IOptimisticOracle.ArbitratorRuled(question, 2);
        arbitrator.rule(game, 2);
        _assertVerdict(2, "ruled");
        IOptimisticOracle.Game memory g = game.games(question);
        vm.assertTrue(g.isRuled && g.ruling == 2, "stored");
        _assertStatus(game, question, IOracle.Status.Final, "final");
        vm.assertEq(_settle(), 4, "survivors");
    }

    function test_rule_isAcceptedAfterAnswersEndedWithinTheWindow() public {
        _propose(alice, 0);
        _wait(LIVENESS - 1);
        _request(bob);
        _wait(WINDOW - 1);
        _assertRunning("waits for the ruling");
        arbitrator.rule(game, 1);
        _assertVerdict(1, "ruled");
    }

    function test_rule_revertsOnceTheWindowIsOver() public {
        _propose(alice, 0);
        _request(bob);
        _wait(WINDOW);
        _assertVerdict(0, "the answer stands");
        _expect(abi.encodeWithSelector(IOptimisticOracle.RulingRefused.selector, question, time, time));
        arbitrator.rule(game, 1);
    }

    function test_rule_revertsTheSecondTime() public {
        _propose(alice, 0);
        _request(bob);
        arbitrator.rule(game, 1);
        _expect(
            abi.encodeWithSelector(
                IOptimisticOracle.RulingRefused.selector,
                question,
                uint256(START + WINDOW),
                uint256(START)
            )
        );
        arbitrator.rule(game, 2);
    }

    function test_rule_revertsUnasked() public {
        _propose(alice, 0);
        _expect(abi.encodeWithSelector(IOptimisticOracle.RulingRefused.selector, question, uint256(0), uint256(START)));
        vm.prank(address(arbitrator));
        game.rule(question, 1);
    }

    function test_rule_revertsForAnybodyElse() public {
        _propose(alice, 0);
        _request(bob);
        _expect(abi.encodeWithSelector(IOptimisticOracle.NotArbitrator.selector, question, bob, address(arbitrator)));
        vm.prank(bob);
        game.rule(question, 1);
    }

    function test_rule_revertsOnAnOutcomeThatDoesNotExist() public {
        _propose(alice, 0);
        _request(bob);
        _expect(_noSuchOutcome(OUTCOMES));
        arbitrator.rule(game, OUTCOMES);
        arbitrator.rule(game, OUTCOMES - 1);
        _assertVerdict(VOID, "void is an outcome");
    }

    /* verdict, settle, status */

    function test_settle_recordsTheAnswerThatStood() public {
        _propose(alice, 1);
        _wait(LIVENESS - 1);
        _assertRunning("not yet");
        _assertStatus(game, question, IOracle.Status.Pending, "pending");
        _expect(_notFinal(question));
        _settle();

        _wait(1);
        _assertStatus(game, question, IOracle.Status.Final, "final");
        vm.prank(carol);
        (QuestionId settled, uint256 survivors) = game.settle(key, terms, "");
        vm.assertTrue(settled == question, "id");
        vm.assertEq(survivors, 2, "survivors");
        _assertLive(question, 2, "ledger");
        _assertStatus(game, question, IOracle.Status.Settled, "settled");
        vm.recordLogs();
        vm.assertEq(_settle(), 2, "again");
        vm.assertEq(vm.getRecordedLogs().length, 0, "is silent");
    }

    function test_settle_recordsTheLastOfSeveralAnswers() public {
        _propose(alice, 1);
        _wait(LIVENESS / 2);
        _dispute(bob, 0);
        _wait(LIVENESS - 1);
        _assertRunning("not yet");
        _dispute(carol, 2);
        _wait(LIVENESS);
        vm.assertEq(_settle(), 4, "the last one");
    }

    function test_settle_revertsBeforeAnAnswer() public {
        _assertRunning("no game");
        _expect(_notFinal(question));
        _settle();
        _at(ENDS);
        _assertRunning("no game ever");
        _assertStatus(game, question, IOracle.Status.Settled, "time has decided");
    }

    function test_settle_revertsOnTermsThatDoNotHash() public {
        _propose(alice, 1);
        _wait(LIVENESS);
        IOptimisticOracle.Terms memory changed = _terms();
        changed.liveness = 1;
        bytes memory other = abi.encode(changed);
        _expect(_unknown(game.questionId(key, other)));
        game.settle(key, other, "");
    }

    function test_settle_tooLateLeavesTheBondsToTheGame() public {
        _propose(alice, 1);
        _dispute(bob, 0);
        _at(ENDS);
        _assertLive(question, 1 << VOID, "time has decided");
        _expect(abi.encodeWithSelector(IMultiverse.DeadlinePassed.selector, question, uint256(ENDS), uint256(ENDS)));
        _settle();
        _assertVerdict(0, "the game's own");
        vm.assertEq(_claim(bob), 3 * MIN, "paid all the same");
    }

    function test_status_isUnknownForAnothersQuestion() public {
        QuestionId another = _ask(3);
        _assertStatus(game, another, IOracle.Status.Unknown, "another oracle's");
        _assertStatus(game, QuestionId.wrap(bytes32(uint256(3))), IOracle.Status.Unknown, "nobody's");
    }

    /* claim */

    function test_claim_paysTheWinnersInProportion() public {
        _propose(alice, 1);
        _dispute(bob, 0);
        _dispute(carol, 1);
        _dispute(bob, 2);
        _dispute(alice, 1);
        vm.assertEq(game.claimable(question, alice), 0, "not yet");
        _wait(LIVENESS);

        // Of 31 bonds, 21 were for outcome 1: 17 by alice, 4 by carol.
        vm.assertEq(game.claimable(question, alice), (uint256(31) * MIN * 17) / 21, "alice's share");
        vm.assertEq(game.claimable(question, carol), (uint256(31) * MIN * 4) / 21, "carol's share");
        vm.assertEq(game.claimable(question, bob), 0, "bob's share");
        vm.expectEmit(address(game));
        emit IOptimisticOracle.BondsClaimed(question, alice, address(0xa11ce), (uint256(31) * MIN * 17) / 21);
        vm.prank(alice);
        uint256 paid = game.claim(question, address(0xa11ce));
        vm.assertEq(paid, (uint256(31) * MIN * 17) / 21, "returned");
        vm.assertEq(token.balanceOf(address(0xa11ce)), paid, "to where she said");
        vm.assertEq(game.bondOf(question, 1, alice), 0, "claimed");
        vm.assertEq(game.claimable(question, alice), 0, "no more");

        uint256 before = token.balanceOf(carol);
        uint256 rest = _claim(carol);
        vm.assertEq(token.balanceOf(carol) - before, rest, "carol is paid");
        vm.assertTrue(token.balanceOf(address(game)) < 2, "all is paid but the rounding");
        vm.assertEq(token.balanceOf(address(game)), uint256(31) * MIN - paid - rest, "to the unit");
    }

    function test_claim_givesALoneProposerItsBondBack() public {
        _propose(alice, 1);
        _wait(LIVENESS);
        vm.assertEq(_claim(alice), MIN, "back");
    }

    function test_claim_followsTheRuling() public {
        _propose(alice, 1);
        _dispute(bob, 0);
        _request(carol);
        arbitrator.rule(game, 1);
        vm.assertEq(_claim(alice), 3 * MIN, "alice was right");
        _expect(abi.encodeWithSelector(IOptimisticOracle.NothingToClaim.selector, question, bob));
        _claim(bob);
        _expect(abi.encodeWithSelector(IOptimisticOracle.NothingToClaim.selector, question, carol));
        _claim(carol);
    }

    function test_claim_givesAllToWhoeverCalledTheArbitratorWhenAllWereWrong() public {
        _propose(alice, 1);
        _dispute(bob, 0);
        _request(carol);
        arbitrator.rule(game, 2);
        vm.assertEq(game.claimable(question, alice), 0, "alice was wrong");
        vm.assertEq(game.claimable(question, carol), 3 * MIN, "all is carol's");
        vm.assertEq(_claim(carol), 3 * MIN, "paid");
        vm.assertEq(token.balanceOf(address(game)), 0, "nothing left");
        _expect(abi.encodeWithSelector(IOptimisticOracle.NothingToClaim.selector, question, carol));
        _claim(carol);
        _expect(abi.encodeWithSelector(IOptimisticOracle.NothingToClaim.selector, question, alice));
        _claim(alice);
    }

    function test_claim_revertsBeforeTheEnd() public {
        _propose(alice, 1);
        _expect(_notFinal(question));
        _claim(alice);
    }

    function test_claim_revertsTheSecondTime() public {
        _propose(alice, 1);
        _wait(LIVENESS);
        _claim(alice);
        _expect(abi.encodeWithSelector(IOptimisticOracle.NothingToClaim.selector, question, alice));
        _claim(alice);
    }

    function test_claim_revertsToTheZeroAddress() public {
        _propose(alice, 1);
        _wait(LIVENESS);
        _expect(abi.encodeWithSelector(IOptimisticOracle.ReceiverIsZero.selector));
        vm.prank(alice);
        game.claim(question, address(0));
    }

    /* decodeTerms */

    function test_decodeTerms_readsThem() public view {
        vm.assertEq(keccak256(abi.encode(game.decodeTerms(terms))), keccak256(terms), "terms");
    }
}
