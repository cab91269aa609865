// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "../../contracts/interfaces/IMultiverse.sol";
import { QuestionId, QuestionIds } from "../../contracts/types/QuestionId.sol";
import { Base } from "./utils/Base.sol";

contract QuestionsTest is Base {
    bytes32 private constant SPEC = keccak256("spec");

    /* ask */

    function test_ask_storesTheQuestionUnderItsDerivedId() public {
        QuestionId expected = QuestionIds.derive(oracle, 4, DEADLINE, SPEC, TERMS);
        vm.expectEmit(address(ledger));
        emit IMultiverse.QuestionAsked(expected, oracle, 4, DEADLINE, SPEC, TERMS);
        vm.expectEmit(address(ledger));
        emit IMultiverse.SpecPublished(expected, "data:,x");
        QuestionId question = ledger.ask(oracle, 4, DEADLINE, SPEC, TERMS, "data:,x");

        vm.assertTrue(question == expected, "id");
        IMultiverse.Question memory q = ledger.questions(question);
        vm.assertEq(q.oracle, oracle, "oracle");
        vm.assertEq(uint256(q.deadline), DEADLINE, "deadline");
        vm.assertEq(uint256(q.outcomes), 4, "outcomes");
        vm.assertEq(uint256(q.status), 1, "status");
        vm.assertEq(uint256(q.winner), 0, "winner");
        vm.assertEq(ledger.live(question), 15, "live");
    }

    function test_ask_againOnlyPublishesTheSpec() public {
        QuestionId question = ledger.ask(oracle, 4, DEADLINE, SPEC, TERMS, "ipfs://a");
        _narrow(question, 1);
        vm.recordLogs();
        vm.prank(bob);
        QuestionId again = ledger.ask(oracle, 4, DEADLINE, SPEC, TERMS, "ipfs://b");

        vm.assertTrue(again == question, "id");
        vm.assertEq(vm.getRecordedLogs().length, 1, "one event");
        vm.assertEq(uint256(ledger.questions(question).status), 3, "state kept");
    }

    function test_ask_againAfterTheDeadlinePublishesStill() public {
        QuestionId question = ledger.ask(oracle, 2, DEADLINE, SPEC, TERMS, "");
        vm.warp(DEADLINE + 1);
        vm.assertTrue(ledger.ask(oracle, 2, DEADLINE, SPEC, TERMS, "") == question, "id");
    }

    function test_ask_takes2And254Outcomes() public {
        vm.assertEq(ledger.live(_ask(2)), 3, "2");
        vm.assertEq(ledger.live(_ask(254)), (1 << 254) - 1, "254");
    }

    function test_ask_revertsOutOfRange() public {
        uint8[3] memory wrong = [0, 1, 255];
        for (uint256 i = 0; i < wrong.length; ++i) {
            _expect(abi.encodeWithSelector(IMultiverse.OutcomesOutOfRange.selector, uint256(wrong[i])));
            ledger.ask(oracle, wrong[i], DEADLINE, SPEC, TERMS, "");
        }
    }

    function test_ask_revertsWithoutOracle() public {
        _expect(abi.encodeWithSelector(IMultiverse.OracleIsZero.selector));
        ledger.ask(address(0), 2, DEADLINE, SPEC, TERMS, "");
    }

    function test_ask_revertsWhenTheDeadlineIsNotInTheFuture() public {
        QuestionId question = QuestionIds.derive(oracle, 2, DEADLINE, SPEC, TERMS);
        vm.warp(DEADLINE);
        _expect(abi.encodeWithSelector(IMultiverse.DeadlinePassed.selector, question, DEADLINE, DEADLINE));
        ledger.ask(oracle, 2, DEADLINE, SPEC, TERMS, "");
        vm.warp(DEADLINE - 1);
        ledger.ask(oracle, 2, DEADLINE, SPEC, TERMS, "");
    }

    /* narrow */

    function test_narrow_toOneOutcomeResolves() public {
        QuestionId question = _ask(4);
        vm.expectEmit(address(ledger));
        emit IMultiverse.QuestionResolved(question, 1, false);
        _narrow(question, 2);
        vm.assertEq(ledger.live(question), 2, "live");
        vm.assertEq(uint256(ledger.questions(question).status), 3, "status");
        vm.assertEq(uint256(ledger.questions(question).winner), 1, "winner");
    }

    function test_narrow_stepByStep() public {
        QuestionId question = _ask(5);
        vm.expectEmit(address(ledger));
        emit IMultiverse.QuestionNarrowed(question, 22);
        _narrow(question, 22);
        vm.assertEq(ledger.live(question), 22, "first step");
        vm.assertEq(uint256(ledger.questions(question).status), 2, "status");
        _narrow(question, 18);
        vm.assertEq(ledger.live(question), 18, "second step");
        _narrow(question, 16);
        vm.assertEq(ledger.live(question), 16, "resolved");
        vm.assertEq(uint256(ledger.questions(question).winner), 4, "void");
    }

    function test_narrow_of254OutcomesToEachEnd() public {
        QuestionId question = _ask(254);
        _narrow(question, (1 << 253) | 1);
        _narrow(question, 1 << 253);
        vm.assertEq(uint256(ledger.questions(question).winner), 253, "last");
        question = _ask(254);
        _narrow(question, 1);
        vm.assertEq(uint256(ledger.questions(question).winner), 0, "first");
    }

    function test_narrow_toWhatHoldsIsSilent() public {
        QuestionId question = _ask(3);
        vm.recordLogs();
        _narrow(question, 7);
        vm.assertEq(uint256(ledger.questions(question).status), 1, "still open");
        _narrow(question, 6);
        _narrow(question, 6);
        _narrow(question, 4);
        _narrow(question, 4);
        vm.assertEq(vm.getRecordedLogs().length, 2, "two steps, two events");
        vm.warp(DEADLINE);
        _narrow(question, 4);
    }

    function test_narrow_revertsForUnknownQuestions() public {
        QuestionId question = QuestionId.wrap(bytes32(uint256(2)));
        _expect(abi.encodeWithSelector(IMultiverse.UnknownQuestion.selector, question));
        ledger.narrow(question, 1);
    }

    function test_narrow_revertsForOthersThanTheOracle() public {
        QuestionId question = _ask(3);
        vm.prank(alice);
        _expect(abi.encodeWithSelector(IMultiverse.NotOracle.selector, question, alice, oracle));
        ledger.narrow(question, 1);
        vm.prank(alice);
        _expect(abi.encodeWithSelector(IMultiverse.NotOracle.selector, question, alice, oracle));
        ledger.narrow(question, 7);
    }

    function test_narrow_revertsWithInvalidSurvivors() public {
        QuestionId question = _ask(4);
        // none; beyond the last; several without the last
        uint256[5] memory wrong = [uint256(0), 16, 24, 3, 1 << 255];
        for (uint256 i = 0; i < wrong.length; ++i) _expectInvalid(question, wrong[i], 15);
        _narrow(question, 12);
        // ruled out already, alone or with a survivor
        _expectInvalid(question, 1, 12);
        _expectInvalid(question, 10, 12);
        _expectInvalid(question, 15, 12);
    }

    function test_narrow_revertsOnceResolved() public {
        QuestionId question = _ask(3);
        _narrow(question, 2);
        for (uint256 survivors = 0; survivors < 8; ++survivors) {
            if (survivors == 2) continue;
            _expect(abi.encodeWithSelector(IMultiverse.AlreadyResolved.selector, question, 1));
            _narrow(question, survivors);
        }
    }

    function test_narrow_revertsFromTheDeadlineOn() public {
        QuestionId question = _ask(3);
        vm.warp(DEADLINE);
        _expect(abi.encodeWithSelector(IMultiverse.DeadlinePassed.selector, question, DEADLINE, DEADLINE));
        _narrow(question, 1);
        vm.recordLogs();
        _narrow(question, 4);
        vm.assertEq(vm.getRecordedLogs().length, 0, "time has said that already");
        vm.warp(DEADLINE - 1);
        _narrow(question, 1);
    }

    function test_fuzz_narrow(uint8 outcomes, uint256 survivors) public {
        outcomes = uint8(_bound(outcomes, 2, 254));
        survivors &= (1 << outcomes) - 1;
        QuestionId question = _ask(outcomes);
        uint256 full = (1 << outcomes) - 1;
        bool single = survivors != 0 && survivors & (survivors - 1) == 0;
        bool last = survivors >> (outcomes - 1) == 1;
        if (!single && !last) {
            _expectInvalid(question, survivors, full);
            return;
        }
        _narrow(question, survivors);
        vm.assertEq(ledger.live(question), survivors, "live");
        vm.assertEq(
            uint256(ledger.questions(question).status),
            single
                ? 3
                : survivors == full
                    ? 1
                    : 2,
            "status"
        );
    }

    /* expire */

    function test_expire_recordsVoid() public {
        QuestionId question = _ask(3);
        _narrow(question, 6);
        vm.warp(DEADLINE);
        vm.assertEq(ledger.live(question), 4, "time has decided");
        vm.assertEq(uint256(ledger.questions(question).status), 2, "not recorded");
        vm.expectEmit(address(ledger));
        emit IMultiverse.QuestionResolved(question, 2, true);
        ledger.expire(question);
        vm.assertEq(ledger.live(question), 4, "live");
        vm.assertEq(uint256(ledger.questions(question).winner), 2, "void");
    }

    function test_expire_againIsSilent() public {
        QuestionId question = _ask(3);
        vm.warp(DEADLINE + 1 days);
        ledger.expire(question);
        vm.recordLogs();
        ledger.expire(question);
        vm.assertEq(vm.getRecordedLogs().length, 0, "no event");
    }

    function test_expire_revertsBeforeTheDeadline() public {
        QuestionId question = _ask(3);
        vm.warp(DEADLINE - 1);
        _expect(abi.encodeWithSelector(IMultiverse.DeadlineNotReached.selector, question, DEADLINE, DEADLINE - 1));
        ledger.expire(question);
    }

    function test_expire_revertsWhenTheOracleAnsweredOtherwise() public {
        QuestionId question = _ask(3);
        _narrow(question, 1);
        vm.warp(DEADLINE);
        vm.assertEq(ledger.live(question), 1, "the answer outlasts the deadline");
        _expect(abi.encodeWithSelector(IMultiverse.AlreadyResolved.selector, question, 0));
        ledger.expire(question);
    }

    function test_expire_revertsForUnknownQuestions() public {
        QuestionId question = QuestionId.wrap(bytes32(uint256(2)));
        _expect(abi.encodeWithSelector(IMultiverse.UnknownQuestion.selector, question));
        ledger.expire(question);
    }

    /* live, questions */

    function test_live_turnsToVoidAtTheDeadline() public {
        QuestionId question = _ask(2);
        vm.warp(DEADLINE - 1);
        vm.assertEq(ledger.live(question), 3, "before");
        vm.warp(DEADLINE);
        vm.assertEq(ledger.live(question), 2, "from the deadline on");
    }

    function test_live_revertsForUnknownQuestions() public {
        QuestionId question = QuestionId.wrap(bytes32(uint256(3)));
        _expect(abi.encodeWithSelector(IMultiverse.UnknownQuestion.selector, question));
        ledger.live(question);
    }

    function test_questions_isZeroForUnknownQuestions() public view {
        IMultiverse.Question memory q = ledger.questions(QuestionId.wrap(bytes32(uint256(3))));
        vm.assertEq(keccak256(abi.encode(q)), keccak256(new bytes(160)), "all zero");
    }

    function _expectInvalid(QuestionId question, uint256 survivors, uint256 live) private {
        _expect(abi.encodeWithSelector(IMultiverse.InvalidSurvivors.selector, question, survivors, live));
        _narrow(question, survivors);
    }
}
