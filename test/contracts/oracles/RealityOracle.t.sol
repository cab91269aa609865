// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";
import { IOracle } from "../../../contracts/interfaces/IOracle.sol";
import { IRealityOracle } from "../../../contracts/interfaces/IRealityOracle.sol";
import { IRealityETH } from "../../../contracts/interfaces/external/IRealityETH.sol";
import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { QuestionKey } from "../../../contracts/types/QuestionKey.sol";
import { OracleBase } from "./utils/OracleBase.sol";

/// @notice What the tests do at reality.eth, beyond what the oracle reads there.
interface Reality is IRealityETH {
    function askQuestionWithMinBond(
        uint256 template,
        string calldata question,
        address arbitrator,
        uint32 timeout,
        uint32 opening,
        uint256 nonce,
        uint256 minBond
    ) external payable returns (bytes32);
    function reopenQuestion(
        uint256 template,
        string calldata question,
        address arbitrator,
        uint32 timeout,
        uint32 opening,
        uint256 nonce,
        uint256 minBond,
        bytes32 reopens
    ) external payable returns (bytes32);
    function submitAnswer(bytes32 question, bytes32 answer, uint256 maxPrevious) external payable;
    function notifyOfArbitrationRequest(bytes32 question, address requester, uint256 maxPrevious) external;
    function submitAnswerByArbitrator(bytes32 question, bytes32 answer, address answerer) external;
}

/// @notice A contract that looks like reality.eth and says what it is told to, byte by byte.
contract OddReality {
    mapping(bytes4 selector => bytes) private _answers;

    function set(bytes4 selector, bytes calldata answer) external {
        _answers[selector] = answer;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        return _answers[msg.sig];
    }
}

/// @notice Against reality.eth's real bytecode, as published in its npm package.
contract RealityOracleTest is OracleBase {
    string private constant BYTECODE = "node_modules/@reality.eth/contracts/bytecode/RealityETH-3.2.bin";
    string private constant TEXT = "Which of four?";
    bytes32 private constant INVALID = bytes32(type(uint256).max);
    bytes32 private constant TOO_SOON = bytes32(type(uint256).max - 1);
    uint256 private constant NUMBER_TEMPLATE = 1;
    uint32 private constant TIMEOUT = 1 days;
    uint256 private constant MIN_BOND = 1 ether;
    uint8 private constant OUTCOMES = 4;
    uint256 private constant VOID = 1 << 3;

    Reality private reality;
    IRealityOracle private relay;
    bytes32 private asked;
    QuestionKey private key;
    bytes private terms;
    QuestionId private question;

    function setUp() public override {
        super.setUp();
        reality = Reality(_create(cheats.parseBytes(string.concat("0x", cheats.readFile(BYTECODE)))));
        relay = IRealityOracle(_deploy("RealityOracle", address(ledger)));
        cheats.deal(address(this), 1e6 ether);
        asked = reality.askQuestionWithMinBond(NUMBER_TEMPLATE, TEXT, oracle, TIMEOUT, 0, 1, MIN_BOND);
        key = _key(OUTCOMES, DEADLINE);
        _use(_terms());
    }

    function _terms() private view returns (IRealityOracle.Terms memory) {
        bytes32 content = keccak256(abi.encodePacked(NUMBER_TEMPLATE, uint32(0), TEXT));
        return IRealityOracle.Terms(address(reality), asked, content, oracle, TIMEOUT, MIN_BOND);
    }

    function _use(IRealityOracle.Terms memory changed) private {
        terms = abi.encode(changed);
        question = _askOf(relay, key, terms);
    }

    /// @notice An answer there, and the time until it is final.
    function _answer(bytes32 id, bytes32 answer) private {
        reality.submitAnswer{ value: MIN_BOND }(id, answer, 0);
        _wait(TIMEOUT);
    }

    function _wait(uint256 time) private {
        vm.warp(block.timestamp + time);
    }

    function _settle() private returns (uint256 survivors) {
        (, survivors) = relay.settle(key, terms, "");
    }

    /* the answer */

    function test_settle_repeatsTheFinalAnswerForAnyone() public {
        _answer(asked, bytes32(uint256(2)));
        _assertStatus(relay, question, IOracle.Status.Open, "open");
        vm.prank(carol);
        (QuestionId settled, uint256 survivors) = relay.settle(key, terms, "");
        vm.assertTrue(settled == question, "id");
        vm.assertEq(survivors, 4, "survivors");
        _assertLive(question, 4, "ledger");
        _assertStatus(relay, question, IOracle.Status.Settled, "settled");

        vm.recordLogs();
        _settle();
        vm.assertEq(vm.getRecordedLogs().length, 0, "again is silent");
    }

    function test_settle_isVoidWhenInvalid() public {
        _answer(asked, INVALID);
        vm.assertEq(_settle(), VOID, "void");
    }

    function test_settle_readsTheAnswerAsTheOutcome() public {
        uint256[6] memory answers = [uint256(0), 1, 2, 3, 4, type(uint256).max - 2];
        for (uint256 i = 0; i < answers.length; ++i) {
            asked = reality.askQuestionWithMinBond(NUMBER_TEMPLATE, TEXT, oracle, TIMEOUT, 0, 100 + i, MIN_BOND);
            _use(_terms());
            _answer(asked, bytes32(answers[i]));
            vm.assertEq(_settle(), answers[i] < 3 ? 1 << answers[i] : VOID, "outcome");
        }
    }

    function test_fuzz_settle_everyOtherNumberIsVoid(uint256 answer) public {
        answer = _bound(answer, 3, type(uint256).max - 2);
        _answer(asked, bytes32(answer));
        vm.assertEq(_settle(), VOID, "void");
    }

    function test_settle_takesTheLastAnswerOfItsGame() public {
        reality.submitAnswer{ value: MIN_BOND }(asked, bytes32(uint256(0)), 0);
        _wait(TIMEOUT - 1);
        reality.submitAnswer{ value: 2 * MIN_BOND }(asked, bytes32(uint256(1)), 0);
        _wait(TIMEOUT - 1);
        _expect(_notFinal(question));
        _settle();
        _wait(1);
        vm.assertEq(_settle(), 2, "last");
    }

    /* not yet */

    function test_settle_revertsBeforeAnAnswer() public {
        _expect(_notFinal(question));
        _settle();
    }

    function test_settle_revertsDuringArbitration() public {
        reality.submitAnswer{ value: MIN_BOND }(asked, bytes32(uint256(0)), 0);
        vm.prank(oracle);
        reality.notifyOfArbitrationRequest(asked, alice, 0);
        _wait(10 * TIMEOUT);
        _expect(_notFinal(question));
        _settle();

        vm.prank(oracle);
        reality.submitAnswerByArbitrator(asked, bytes32(uint256(1)), alice);
        vm.assertEq(_settle(), 2, "ruled");
    }

    function test_settle_waitsForTheReopeningOfWhatWasTooSoon() public {
        _answer(asked, TOO_SOON);
        _expect(_notFinal(question));
        _settle();

        bytes32 reopened = _reopen(2);
        _expect(_notFinal(question));
        _settle();
        _answer(reopened, bytes32(uint256(1)));
        vm.assertEq(_settle(), 2, "reopened");
    }

    function test_settle_waitsForTheNextReopeningToo() public {
        _answer(asked, TOO_SOON);
        _answer(_reopen(2), TOO_SOON);
        _expect(_notFinal(question));
        _settle();
        _answer(_reopen(3), bytes32(uint256(0)));
        vm.assertEq(_settle(), 1, "reopened twice");
    }

    function _reopen(uint256 nonce) private returns (bytes32) {
        return reality.reopenQuestion(NUMBER_TEMPLATE, TEXT, oracle, TIMEOUT, 0, nonce, MIN_BOND, asked);
    }

    function test_settle_revertsAfterTheDeadline() public {
        _answer(asked, bytes32(uint256(2)));
        vm.warp(DEADLINE);
        _expect(
            abi.encodeWithSelector(IMultiverse.DeadlinePassed.selector, question, uint256(DEADLINE), uint256(DEADLINE))
        );
        _settle();
    }

    /* what the terms say of the question */

    function _expectMismatch(bytes4 getter, uint256 expected, uint256 actual) private {
        _expect(
            abi.encodeWithSelector(IRealityOracle.RealityMismatch.selector, getter, bytes32(expected), bytes32(actual))
        );
    }

    function test_settle_revertsOnAnotherContent() public {
        _answer(asked, bytes32(uint256(2)));
        IRealityOracle.Terms memory changed = _terms();
        uint256 content = uint256(changed.contentHash);
        changed.contentHash = bytes32(content ^ 1);
        _use(changed);
        _expectMismatch(IRealityETH.getContentHash.selector, content ^ 1, content);
        _settle();
    }

    function test_settle_revertsOnAnotherArbitrator() public {
        _answer(asked, bytes32(uint256(2)));
        IRealityOracle.Terms memory changed = _terms();
        changed.arbitrator = alice;
        _use(changed);
        _expectMismatch(IRealityETH.getArbitrator.selector, uint160(alice), uint160(oracle));
        _settle();
    }

    function test_settle_revertsOnAnotherTimeout() public {
        _answer(asked, bytes32(uint256(2)));
        IRealityOracle.Terms memory changed = _terms();
        changed.timeout = TIMEOUT + 1;
        _use(changed);
        _expectMismatch(IRealityETH.getTimeout.selector, TIMEOUT + 1, TIMEOUT);
        _settle();
    }

    function test_settle_revertsOnAnotherMinimumBond() public {
        _answer(asked, bytes32(uint256(2)));
        IRealityOracle.Terms memory changed = _terms();
        changed.minBond = MIN_BOND - 1;
        _use(changed);
        _expectMismatch(IRealityETH.getMinBond.selector, MIN_BOND - 1, MIN_BOND);
        _settle();
    }

    function test_settle_revertsOnAQuestionNobodyAskedThere() public {
        IRealityOracle.Terms memory changed = _terms();
        changed.realityQuestion = keccak256("nobody's");
        _use(changed);
        _expectMismatch(IRealityETH.getContentHash.selector, uint256(changed.contentHash), 0);
        _settle();
    }

    /* odd realities */

    function _useOdd() private returns (OddReality odd) {
        odd = new OddReality();
        odd.set(IRealityETH.getContentHash.selector, abi.encode(1));
        odd.set(IRealityETH.getArbitrator.selector, abi.encode(alice));
        odd.set(IRealityETH.getTimeout.selector, abi.encode(2));
        odd.set(IRealityETH.getMinBond.selector, abi.encode(3));
        _use(IRealityOracle.Terms(address(odd), asked, bytes32(uint256(1)), alice, 2, 3));
    }

    function test_settle_revertsOnAContractThatSaysTooSoon() public {
        OddReality odd = _useOdd();
        odd.set(IRealityETH.resultForOnceSettled.selector, abi.encode(TOO_SOON));
        _expect(_notFinal(question));
        _settle();
        odd.set(IRealityETH.resultForOnceSettled.selector, hex"01");
        _expect(_notFinal(question));
        _settle();
        odd.set(IRealityETH.resultForOnceSettled.selector, abi.encode(1));
        vm.assertEq(_settle(), 2, "answers after all");
    }

    function test_settle_revertsOnAContractThatReturnsTooLittle() public {
        OddReality odd = _useOdd();
        odd.set(IRealityETH.getTimeout.selector, new bytes(31));
        _expect(
            abi.encodeWithSelector(
                IRealityOracle.RealityCallFailed.selector,
                address(odd),
                IRealityETH.getTimeout.selector
            )
        );
        _settle();
    }

    function test_settle_revertsWithoutAContract() public {
        IRealityOracle.Terms memory changed = _terms();
        changed.reality = address(0xdead);
        _use(changed);
        _expect(
            abi.encodeWithSelector(
                IRealityOracle.RealityCallFailed.selector,
                address(0xdead),
                IRealityETH.getContentHash.selector
            )
        );
        _settle();
    }

    /* terms */

    function test_settle_revertsOnTermsThatDoNotHash() public {
        _answer(asked, bytes32(uint256(2)));
        IRealityOracle.Terms memory changed = _terms();
        changed.realityQuestion = keccak256("mine");
        bytes memory other = abi.encode(changed);
        _expect(_unknown(relay.questionId(key, other)));
        relay.settle(key, other, "");
    }

    function test_settle_revertsOnMalformedTerms() public {
        terms = abi.encode(address(reality), asked);
        question = _askOf(relay, key, terms);
        _expect(_malformedTerms(question));
        _settle();
    }
}
